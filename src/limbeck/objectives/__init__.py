"""Distillation losses as modules on plain tensors, and weighted sums of them; as functions in `functional`."""

from typing import TYPE_CHECKING

from limbeck.lazy import lazy_exports

if TYPE_CHECKING:
    from limbeck.objectives.cross_entropy import CrossEntropy
    from limbeck.objectives.kd import KD
    from limbeck.objectives.objective import Objective
    from limbeck.objectives.sums import WeightedSum, weighted_sum

__all__ = ["KD", "CrossEntropy", "Objective", "WeightedSum", "weighted_sum"]

__getattr__ = lazy_exports(
    __name__,
    {
        "CrossEntropy": "limbeck.objectives.cross_entropy",
        "KD": "limbeck.objectives.kd",
        "Objective": "limbeck.objectives.objective",
        "WeightedSum": "limbeck.objectives.sums",
        "weighted_sum": "limbeck.objectives.sums",
    },
)
