"""How sure a handful of seeds makes us: Student's t intervals of a mean and of a paired difference."""

import math
from collections.abc import Mapping, Sequence
from typing import TypedDict

from scipy.special import stdtrit

from limbeck.errors import UserError

CONFIDENCE = 0.95


class PairedDifference(TypedDict):
    """Mean of a - b over the `n` seeds both have, with its 95 % interval (None where n < 2)."""

    n: int
    mean: float | None
    low: float | None
    high: float | None
    beyond_noise: bool


def standard_deviation(values: Sequence[float]) -> float | None:
    """Sample standard deviation (n - 1 in the denominator), None for a single value.

    Example:
        >>> standard_deviation([3.0, 5.0, 7.0])
        2.0
    """
    _check(values)
    if len(values) == 1:
        return None
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def mean_interval(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and half the width of its 95 % interval: t(0.975, n - 1) s / sqrt(n).

    Args:
        values: one number per seed, n >= 1, finite.

    Returns:
        (mean, half_width); the half width is None for one value, from which no spread can be told.

    Raises:
        UserError: there are no values, or one is not finite.

    Example:
        >>> mean_interval([0.80, 0.82, 0.84])
        (0.82, 0.0496827...)
    """
    deviation = standard_deviation(values)
    mean = math.fsum(values) / len(values)
    if deviation is None:
        return mean, None
    quantile = float(stdtrit(len(values) - 1, 0.5 + CONFIDENCE / 2))
    return mean, quantile * deviation / math.sqrt(len(values))


def paired_difference(a: Mapping[int, float], b: Mapping[int, float]) -> PairedDifference:
    """Difference a - b, paired over seeds, so that what a seed does to both (data order, weights) cancels.

    Args:
        a, b: seed -> value, finite; seeds that only one of them has are left out.

    Returns:
        n, mean, low and high, and `beyond_noise`: the 95 % interval excludes 0 (never for n < 2).

    Example:
        >>> paired_difference({0: 0.9, 1: 0.8, 2: 0.85}, {0: 0.8, 1: 0.7, 2: 0.74})["beyond_noise"]
        True
    """
    differences = [a[seed] - b[seed] for seed in sorted(a.keys() & b.keys())]
    if not differences:
        return {"n": 0, "mean": None, "low": None, "high": None, "beyond_noise": False}
    mean, half_width = mean_interval(differences)
    if half_width is None:
        return {"n": 1, "mean": mean, "low": None, "high": None, "beyond_noise": False}
    low, high = mean - half_width, mean + half_width
    return {"n": len(differences), "mean": mean, "low": low, "high": high, "beyond_noise": low > 0 or high < 0}


def _check(values: Sequence[float]) -> None:
    if not values:
        raise UserError("`values` must hold at least one number, got none; a mean needs one finished run.")
    for value in values:
        if not math.isfinite(value):
            raise UserError(f"`values` must be finite, got {value}; leave failed runs out.")
