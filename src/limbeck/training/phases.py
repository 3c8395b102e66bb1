"""The phases of a run: preparing what two-phase objectives need, then teaching the student."""

from dataclasses import dataclass

from limbeck.objectives.sums import WeightedSum
from limbeck.training.schedule import learning_rate
from limbeck.training.settings import TrainingSettings


@dataclass(frozen=True)
class Phases:
    """Which step belongs to which phase, and the learning rate of both.

    Args:
        preparing: steps of the first phase; 0 for most objectives.
        total: steps of the run.
        rate: share of the learning rate that the first phase has, throughout.
        settings: schedule of the second phase, which it passes through in whole.
    """

    preparing: int
    total: int
    rate: float
    settings: TrainingSettings

    @classmethod
    def of(cls, objective: WeightedSum, settings: TrainingSettings, total: int) -> "Phases":
        share = objective.preparing_share
        # At least a step of either phase, if there are two.
        steps = min(total - 1, max(1, round(share * total))) if share else 0
        return cls(steps, total, objective.preparing_rate, settings)

    def is_preparing(self, step: int) -> bool:
        return step < self.preparing

    def progress(self, step: int) -> float:
        """Share of the second phase that is done before `step`, in [0, 1)."""
        return max(0, step - self.preparing) / (self.total - self.preparing)

    def learning_rate(self, step: int) -> float:
        if self.is_preparing(step):
            return self.rate * self.settings.learning_rate
        return learning_rate(step - self.preparing, self.total - self.preparing, self.settings)
