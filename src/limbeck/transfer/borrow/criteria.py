"""The criteria behind the names under `by`: which scores they read, and in which order; without importing torch."""

from functools import cache
from typing import Any

from limbeck.transfer.borrow.settings import SURENESS
from limbeck.transfer.criteria import Criterion

_PARTS: dict[str, dict[str, Any]] = {
    "minimal-margin": {"score": "minimal-margin", "order": "highest"},
    "margin": {"score": "margin", "order": "highest"},
    # The published code adds nothing inside this logarithm, where that of selecting does.
    "entropy": {"representation": "teacher-logits", "score": "entropy", "order": "lowest", "options": {"eps": 0.0}},
    "confidence": {"score": "confidence", "order": "highest"},
    "energy": {"score": "energy", "order": "lowest"},
    "boundary": {"score": "margin", "order": "lowest"},
    "k-centre": {"score": "random", "allocation": "k-centre-per-class", "space": "teacher-embedding"},
    "balanced-random": {"score": "random"},
    "random": {"score": "random", "allocation": "top-n"},
    "none": {"score": "random"},  # goes by the order of the images, which no table has as a column
}
_OTHERWISE = "margin"
"""The score for a threshold if `by` does not say how sure the teacher is; available for all teachers."""


@cache
def criterion_by(name: str) -> Criterion:
    """The criterion that prefers images as `by: name` does.

    Example:
        >>> criterion_by("entropy").column, criterion_by("entropy").order
        ('entropy:teacher-logits:eps=0.0', 'lowest')
    """
    return Criterion(name=name, **_PARTS[name])


def sureness_by(name: str) -> Criterion:
    """The criterion whose scores a threshold applies to: that of `by` if it says how sure the teacher is.

    Example:
        >>> sureness_by("energy").name, sureness_by("k-centre").name
        ('energy', 'margin')
    """
    return criterion_by(name if name in SURENESS else _OTHERWISE)
