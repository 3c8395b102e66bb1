"""The interface of a distillation loss, and the signals a loss can ask for."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from inspect import signature
from typing import Any

from torch import Tensor, nn

from limbeck.errors import UserError
from limbeck.models.classifier import Outputs

Signals = Mapping[str, Any]

SIGNALS = frozenset(["labels", "ids"] + [f"{who}_{what}" for who in ("student", "teacher") for what in Outputs._fields])


class Objective(nn.Module, ABC):
    """Interface of a loss on plain tensors.

    `forward` names what it needs by its parameters, each one of `SIGNALS`: `student_logits` [B, K],
    `teacher_embedding` [B, D], `student_stages` (a tuple of [B, C, H, W], shallow to deep), `labels` int64 [B],
    `ids` int64 [B] and so on. It returns the scalar loss, the mean over the batch.
    """

    @abstractmethod
    def forward(self, *args: Any, **kwargs: Any) -> Tensor: ...

    @property
    def needs(self) -> tuple[str, ...]:
        """Signals that `forward` takes, in its order."""
        return tuple(signature(self.forward).parameters)

    def outputs_needed(self, who: str) -> frozenset[str]:
        """Fields of `Outputs` that are read of the "student" or of the "teacher"."""
        return frozenset(need.removeprefix(f"{who}_") for need in self.needs if need.startswith(f"{who}_"))


def check_temperature(temperature: float) -> None:
    if not temperature > 0:
        raise UserError(f"`temperature` must be > 0, got {temperature}.")
