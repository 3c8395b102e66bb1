"""What a run is made of between two steps, and how it becomes a checkpoint and back."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from limbeck.models.classifier import Classifier
from limbeck.models.shared_memory import load_tensors
from limbeck.objectives.sums import WeightedSum
from limbeck.training.checkpoint import Checkpoint

_COUNTERS = ("seconds", "teacher_passes", "teacher_passes_saved")


@dataclass(frozen=True)
class Chosen:
    """The network that is judged, at its best validation so far: `step`, `top1` there, and its `weights` on the CPU."""

    step: int
    top1: float
    weights: dict[str, Tensor] = field(repr=False)


@dataclass
class LoopState:
    """Student, objective, optimiser and counters after `step` steps.

    `taught` is the network that is judged, which shares the student's weights or is the student itself.
    """

    student: Classifier
    taught: Classifier
    objective: WeightedSum
    optimizer: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0
    teacher_passes: int = 0
    teacher_passes_saved: int = 0
    chosen: Chosen | None = None
    saved_step: int | None = None

    def consider(self, top1: float) -> None:
        """Keeps the present state of what is judged if it is better than all before; of equals the earliest stays."""
        if self.chosen is None or top1 > self.chosen.top1:
            weights = {name: value.detach().cpu().clone() for name, value in self.taught.state_dict().items()}
            self.chosen = Chosen(self.step, top1, weights)

    def checkpoint(self) -> Checkpoint:
        saved = Checkpoint(self.step)
        for prefix, module in self._modules().items():
            saved.put(prefix, module.state_dict())
        saved.put_optimizer("optimizer", self.optimizer)
        saved.put("random", _random_state())
        saved.notes |= {name: getattr(self, name) for name in _COUNTERS}
        if self.chosen is not None:
            saved.put("chosen", self.chosen.weights)
            saved.notes["chosen"] = {"step": self.chosen.step, "top1": self.chosen.top1}
        return saved

    def restore(self, saved: Checkpoint) -> None:
        for prefix, module in self._modules().items():
            load_tensors(module, saved.take(prefix))
        saved.restore_optimizer("optimizer", self.optimizer)
        _set_random_state(saved.take("random"))
        self.step = self.saved_step = saved.step
        for name in _COUNTERS:
            setattr(self, name, saved.notes.get(name, 0))
        if "chosen" in saved.notes:
            self.chosen = Chosen(**saved.notes["chosen"], weights=saved.take("chosen"))

    def _modules(self) -> dict[str, nn.Module]:
        return {"student": self.student, "objective": self.objective}


def _random_state() -> dict[str, Tensor]:
    """Dropout and its like draw from the global generators, which a run forks for itself."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def _set_random_state(state: dict[str, Tensor]) -> None:
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
