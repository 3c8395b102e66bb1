"""Pairs of teacher and student, and signals of theirs to feed objectives with."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor

from limbeck.models import Outputs, create
from limbeck.objectives import Objective, Setup, WeightedSum, weighted_sum
from limbeck.objectives.catalogue import NAMES, OBJECTIVES

CLASSES, BATCH = 10, 6
EVERYTHING = ("logits", "embedding", "stages", "last_map", "pre_activations")


@cache
def outputs(name: str, options: tuple[tuple[str, Any], ...] = ()) -> tuple[Outputs, Any]:
    """What a network with random weights makes of a few random images, and its head."""
    classifier = create(name, num_classes=CLASSES, seed=len(name), **dict(options)).eval()
    images = torch.rand(BATCH, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    want = EVERYTHING if not name.startswith("timm:") else EVERYTHING[:4]
    with torch.no_grad():
        result = classifier(images, want=want)
    assert classifier.taps.embedding is not None
    return result, classifier.network.get_submodule(classifier.taps.embedding)


class Pair:
    """Signals of a teacher and a student, and objectives built for them."""

    def __init__(self, student: str = "resnet8", teacher: str = "wrn_16_1") -> None:
        self.student, self.teacher = student, teacher
        self.setup = Setup(
            outputs(student)[0],
            outputs(teacher)[0],
            ids=torch.tensor([7, -3, 2**40, 0, 12, 5]),
            labels=torch.arange(BATCH) % CLASSES,
            batch_size=BATCH,
            teacher_head=outputs(teacher)[1],
        )

    def build(self, name: str, *, seed: int = 0, **options: Any) -> WeightedSum:
        objective = weighted_sum({name: {"weight": 1.0, **options}})
        objective.build(self.setup, seed=seed)
        return objective

    def objective(self, name: str, **options: Any) -> Objective:
        """The objective itself, whose `forward` is its loss in any phase."""
        preparing = {"preparing": 0.0} if "preparing" in OBJECTIVES[NAMES[name]].options else {}
        (objective,) = self.build(name, **{**preparing, **options}).objectives().values()
        return objective

    def signals(
        self, scale: float = 1.0, *, constant: bool = False, rounded: bool = False, count: int = BATCH
    ) -> dict[str, Any]:
        """Fresh leaves that want gradients, of `count` images; `rounded` as networks in bf16 would have them."""

        def leaf(value: Tensor) -> Tensor:
            value = torch.zeros_like(value) if constant else value * scale
            value = value.bfloat16().float() if rounded else value
            return value[:count].clone().requires_grad_()

        assert self.setup.labels is not None
        signals: dict[str, Any] = {"labels": self.setup.labels[:count], "ids": self.setup.ids[:count], "progress": 0.5}
        for who, network in (("student", self.student), ("teacher", self.teacher)):
            signals |= {f"{who}_{part}": value for part, value in outputs(network)[0].map(leaf)._asdict().items()}
        return signals


def tensors(value: Any) -> list[Tensor]:
    """The leaves of one signal."""
    values = value if isinstance(value, tuple) else (value,)
    return [tensor for tensor in values if isinstance(tensor, Tensor) and tensor.is_floating_point()]


def rows_of(signals: Mapping[str, Any], rows: Tensor) -> dict[str, Any]:
    """Some of the images, in that order."""

    def taken(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(taken, value))
        return value[rows] if isinstance(value, Tensor) and value.ndim else value

    return {name: taken(value) for name, value in signals.items()}


def value_of(objective: Objective, signals: dict[str, Any]) -> Tensor:
    """The loss at these signals."""
    return objective(**{need: signals[need] for need in objective.needs})
