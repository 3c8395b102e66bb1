"""The losses as pure functions."""

from limbeck.objectives.cross_entropy import cross_entropy
from limbeck.objectives.kd import kd

__all__ = ["cross_entropy", "kd"]
