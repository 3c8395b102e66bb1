"""Published protocols of teaching students on a set, in place of the set's own. torch is not imported."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

Labels = Literal["kept", "hard", "soft", "teacher"]
LABELS: tuple[Labels, ...] = ("kept", "hard", "soft", "teacher")
RATES = (0.001, 0.005, 0.01, 0.05, 0.1)
"""Learning rates among which validation images choose, as in DD-Ranking."""
TEMPERATURE = 20.0
"""Temperature of a teacher that is asked about every view."""
_TINY_IMAGENET, _DOUBLED = 200, (100, 1000)
"""Numbers of classes by which batches of RDED are told: those of Tiny ImageNet, of CIFAR-100 and ImageNet."""


class Protocol(NamedTuple):
    """A published way of teaching.

    Attributes:
        summary: one line.
        training: (number of images, of classes, pixels per side) -> settings of training.
        temperature: of the teacher's answers, from which alone students learn.
    """

    summary: str
    training: Callable[[int, int, int], Mapping[str, Any]]
    temperature: float


def _sre2l(images: int, classes: int, side: int) -> Mapping[str, Any]:
    return {
        "optimizer": "adamw",
        "learning_rate": 1e-3,
        "weight_decay": 0.01,
        "epochs": 300,
        "batch_size": 1024,
        "schedule": "cosine",
        "views": ["resized-crop-flip", {"cutmix": {"share": 1.0}}],
    }


def _sre2l_small(images: int, classes: int, side: int) -> Mapping[str, Any]:
    views = ["pad-crop-flip", {"mixup": {"alpha": 0.8, "share": 1.0}}]
    return {**_sre2l(images, classes, side), "epochs": 400, "batch_size": 128, "views": views}


def _rded(images: int, classes: int, side: int) -> Mapping[str, Any]:
    """Images made of several crops have these shuffled each time, and are cropped to at least half of their area.

    Images of one crop are seen whole: torchvision, which draws boxes of the full area in other aspect ratios, leaves
    them so.
    """
    factor = 2 if side >= 128 else 1  # crops of an image per side
    shuffled = [{"shuffled-patches": {"factor": factor}}] if factor > 1 else []
    boxes = {"area": [1 / factor, 1.0], **({"ratio": [1.0, 1.0]} if factor == 1 else {})}
    views = [*shuffled, {"resized-crop-flip": boxes}, {"cutmix": {"share": 1.0}}]
    return {**_sre2l(images, classes, side), "batch_size": _batch_of_rded(images, classes), "views": views}


def _batch_of_rded(images: int, classes: int) -> int:
    """By data set in the authors' code: twice as large for CIFAR-100 and ImageNet, and 100 for Tiny ImageNet."""
    if classes == _TINY_IMAGENET:
        return 100
    per_class = images / max(1, classes)
    usual = 10 if per_class < 10 else 50 if per_class < 50 else 100
    return 2 * usual if classes in _DOUBLED else usual


PROTOCOLS: Mapping[str, Protocol] = {
    "sre2l": Protocol("a teacher asked about crops and mixtures, for 300 epochs (Yin et al., 2023)", _sre2l, 20.0),
    "sre2l-small": Protocol("the same as published for 32 pixels, for 400 epochs", _sre2l_small, 30.0),
    "rded": Protocol("as sre2l, in smaller batches and larger crops (Sun et al., 2024)", _rded, 20.0),
}
