"""BSR's dynamic weight of the one-hot loss."""

from collections.abc import Mapping, Sequence
from math import inf, isnan, nan

import torch
from torch import Tensor

from limbeck.transfer.generate.settings import Growth


def at_their_least(losses: Sequence[Sequence[float | None]]) -> bool:
    """Whether every loss is in the last round below its minimum of the rounds before; None stands for a loss that a
    round did not have, and a loss that the last round did not have says nothing.

    Example:
        >>> at_their_least([[3.0, 2.0, 1.0], [-1.0, -2.0, -3.0]]), at_their_least([[3.0, 2.0, 2.0]])
        (True, False)
    """
    used = [values for values in losses if values and values[-1] is not None]
    return bool(used) and all(
        _below(values[-1], [value for value in values[:-1] if value is not None]) for values in used
    )


def _below(last: float | None, before: Sequence[float]) -> bool:
    return last is not None and bool(before) and all(last < value for value in before)


class GrowingWeight:
    """The weight of the one-hot loss: it grows by a step whenever batch-norm and adversarial loss are at their least.

    Both are compared with their minimum over the `memory` - 1 rounds before the last one, or as many as there were by
    then, one at least. A loss that is not used, so that it has no value, is left out of that. It never falls.

    Args:
        start: the weight to begin with.
        growth: its settings; None keeps it as it is.
        warmup_rounds: how many rounds at the start only have their losses remembered.

    Attributes:
        value: in the next round.

    Example:
        >>> weight = GrowingWeight(0.5, Growth(step=0.1, memory=2))
        >>> for loss in (3.0, 2.0, 2.5, 1.0):
        ...     weight.update(batch_norm=loss, adversarial=-1 / loss)
        >>> round(weight.value, 6)
        0.7
    """

    def __init__(self, start: float, growth: Growth | None, *, warmup_rounds: int = 0) -> None:
        self.start = start
        self.growth = growth
        self.warmup_rounds = warmup_rounds
        self._steps = 0
        self._rounds = 0
        self._batch_norm: list[float | None] = []
        self._adversarial: list[float | None] = []

    @property
    def value(self) -> float:
        if self.growth is None or not self._steps:
            return self.start
        grown = self.start + self._steps * self.growth.step
        return grown if self.growth.most is None else max(self.start, min(grown, self.growth.most))

    def update(self, *, batch_norm: float | None, adversarial: float | None) -> None:
        """Notes the losses of a round, without their weights, of the images that it kept; None for one not used."""
        if self.growth is None:
            return
        self._rounds += 1
        memory = self.growth.memory
        self._batch_norm = [*self._batch_norm, _comparable(batch_norm)][-memory:]
        self._adversarial = [*self._adversarial, _comparable(adversarial)][-memory:]
        comparable = len(self._batch_norm) >= 2 and self._rounds >= self.warmup_rounds
        if comparable and at_their_least(self._recent_losses()):
            self._steps += 1

    def state_dict(self) -> dict[str, Tensor]:
        recent = [[nan if value is None else value for value in values] for values in self._recent_losses()]
        return {
            "grown": torch.tensor([self._steps, self._rounds]),
            "losses": torch.tensor(recent, dtype=torch.float64).reshape(2, -1),
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self._steps, self._rounds = state["grown"].tolist()
        losses = [[None if isnan(value) else value for value in values] for values in state["losses"].tolist()]
        self._batch_norm, self._adversarial = losses

    def _recent_losses(self) -> tuple[list[float | None], list[float | None]]:
        return self._batch_norm, self._adversarial


def _comparable(loss: float | None) -> float | None:
    """A loss that is not a number is no reason to grow."""
    return inf if loss is not None and isnan(loss) else loss
