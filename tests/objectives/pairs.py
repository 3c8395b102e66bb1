"""Pairs of teacher and student for limbeck's own objectives, kept small."""

from typing import Any

from limbeck.objectives import WeightedSum
from limbeck.objectives.catalogue import OBJECTIVES
from limbeck.testing import pairs
from limbeck.testing.pairs import BATCH, CLASSES, outputs, tensors, value_of

__all__ = ["ALL", "BATCH", "CLASSES", "SMALL", "Pair", "outputs", "tensors", "value_of"]

SMALL: dict[str, Any] = {
    "crd": {"negatives_count": 16},
    "rrd": {"negatives_count": 16},
}
"""Options that keep tests small."""


class Pair(pairs.Pair):
    """Builds small objectives."""

    def build(self, name: str, *, seed: int = 0, **options: Any) -> WeightedSum:
        return super().build(name, seed=seed, **{**SMALL.get(name, {}), **options})


ALL = sorted(OBJECTIVES)
