"""The interface of a distillation loss, and the signals a loss can ask for."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from inspect import Parameter, ismethod, signature
from typing import Any, ClassVar

from torch import Tensor, nn

from limbeck.errors import UserError
from limbeck.models.classifier import Classifier
from limbeck.models.taps import Outputs
from limbeck.objectives.setup import Setup

Signals = Mapping[str, Any]

SIGNALS = frozenset(
    ["labels", "ids", "progress"] + [f"{who}_{what}" for who in ("student", "teacher") for what in Outputs._fields]
)

PREPARING = 30 / 270
"""Share of a run that the benchmarks prepare in: 30 epochs, before 240."""

FORMS = ("benchmark", "authors")
"""Forms of a loss where a benchmark's, which most published numbers are of, is not that of its authors."""


@dataclass(frozen=True)
class Preparation:
    """What a two-phase method learns before the rest starts: then its `loss` alone is minimised, unweighted.

    Whatever the loss reaches learns: a paraphraser, or the student up to the stages that are compared.

    Args:
        loss: takes signals by name, as `Objective.forward` does.
        share: of the run's steps, 0 <= share < 1; 0 leaves the phase out.
        rate: of `training.learning_rate`, held through the phase.
        only: the method teaches in this phase alone, as published; later it is no term of the sum.
    """

    loss: Callable[..., Tensor]
    share: float = PREPARING
    rate: float = 1.0
    only: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise UserError(f"`preparing` must be a share of the run, at least 0 and below 1, got {self.share}.")


class Objective(nn.Module, ABC):
    """Interface of a loss on plain tensors.

    `forward` names what it needs by its parameters, each one of `SIGNALS`: `student_logits` [B, K],
    `teacher_embedding` [B, D], `student_stages` (a tuple of [B, C, H, W], shallow to deep), `labels` int64 [B],
    `ids` int64 [B], `progress` (the share of the run that is done) and so on. It returns the scalar loss. Tensors are
    float32, whatever the networks compute in.

    Attributes:
        per_image: the loss is a mean over images, so that processes may each take their share of a batch; others
            compare images with one another, or count them, and are given whole batches.
        mixed_labels: `labels` may be probabilities float [B, K], too, as those of mixtures of images are.
        reads_teacher_head: `Setup.teacher_head` is used.
        preparation: a phase before the rest, or None.
    """

    per_image: ClassVar[bool] = False
    mixed_labels: ClassVar[bool] = False
    reads_teacher_head: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.preparation: Preparation | None = None

    @abstractmethod
    def forward(self, *args: Any, **kwargs: Any) -> Tensor: ...

    def build(self, setup: Setup) -> None:
        """Makes projectors and memories for the outputs at hand; called once, before the optimiser is made.

        Raises:
            UserError: teacher and student do not fit together.
        """

    def evaluated_network(self, student: Classifier) -> Classifier:
        """The network that this teaches, to be judged and saved: the student, or one that shares its weights."""
        return student

    @classmethod
    def unread(cls, options: Mapping[str, Any]) -> Mapping[str, str]:
        """Those of all its options, name -> value, that another one makes idle: name -> which. Most have none."""
        return {}

    @property
    def remembers_ids(self) -> bool:
        """Whether it keeps something for each of `Setup.ids`, so that images of other ids cannot join a run."""
        return False

    @property
    def loss(self) -> Callable[..., Tensor]:
        """What is minimised: `forward`, or one of several where an option says which signals are read."""
        return self.forward

    @property
    def needs(self) -> tuple[str, ...]:
        """Signals that `loss` takes, in its order."""
        return tuple(arguments(self.loss))

    def outputs_needed(self, who: str) -> frozenset[str]:
        """Fields of `Outputs` that `loss` reads of the "student" or of the "teacher"."""
        return outputs_among(self.needs, who)


def arguments(loss: Callable[..., Tensor]) -> dict[str, bool]:
    """Signals that a loss takes, in its order, and whether it must be given them."""
    # Cached by function, not by bound method, since the cache outlives the module.
    return _parameters(loss.__func__, bound=True) if ismethod(loss) else _parameters(loss, bound=False)


@cache
def _parameters(function: Callable[..., Tensor], *, bound: bool) -> dict[str, bool]:
    parameters = list(signature(function).parameters.values())[int(bound) :]
    return {parameter.name: parameter.default is Parameter.empty for parameter in parameters}


def outputs_among(needs: tuple[str, ...], who: str) -> frozenset[str]:
    """Fields of `Outputs` among signals of the "student" or of the "teacher"."""
    return frozenset(need.removeprefix(f"{who}_") for need in needs if need.startswith(f"{who}_"))
