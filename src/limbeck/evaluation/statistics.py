"""What a handful of seeds can show: Student's t of a mean and of a paired difference, Holm's correction of many."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

from scipy.special import ndtri, stdtr, stdtrit

from limbeck.errors import UserError

CONFIDENCE = 0.95
SIGNIFICANCE = 0.05
MOST_SEEDS = 10_000
_ROUNDING = 1e-12
"""Spread, as a share of the values, below which it is rounding errors of floating point and no spread."""


class PairedDifference(TypedDict):
    """Mean of a - b over the `n` seeds both have, with its 95 % interval and the p value of the paired t test (None
    where n < 2, or the spread is unknown)."""

    n: int
    mean: float | None
    low: float | None
    high: float | None
    p: float | None
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


def mean_interval(values: Sequence[float], *, resolution: float | None = None) -> tuple[float, float | None]:
    """Mean and half the width of its 95 % interval: t(0.975, n - 1) s / sqrt(n).

    Args:
        values: one number per seed, n >= 1, finite.
        resolution: the step in which they are counted, > 0, as 1 / N of accuracies on N test images. s is then at least
            resolution / sqrt(12), the standard deviation of what rounding to such steps hides, so that seeds that tie
            do not seem to be without noise. None if there is no step, or it is unknown.

    Returns:
        (mean, half_width); the half width is None for one value, from which no spread can be told.

    Raises:
        UserError: there are no values, one is not finite, or `resolution` is not > 0.

    Example:
        >>> mean_interval([0.80, 0.82, 0.84])
        (0.82, 0.0496827...)
    """
    deviation = standard_deviation(values)
    mean = math.fsum(values) / len(values)
    if deviation is None:
        return mean, None
    deviation = max(deviation, rounding_variance(resolution) ** 0.5)
    quantile = float(stdtrit(len(values) - 1, 0.5 + CONFIDENCE / 2))
    return mean, quantile * deviation / math.sqrt(len(values))


def rounding_variance(resolution: float | None) -> float:
    """What rounding a number to steps of `resolution` adds to its variance, resolution^2 / 12; 0 for None.

    Raises:
        UserError: `resolution` is not > 0.

    Example:
        >>> rounding_variance(0.12)
        0.0012
    """
    if resolution is None:
        return 0.0
    if not 0 < resolution < math.inf:
        raise UserError(f"`resolution` must be > 0 and finite, got {resolution}; it is 1 / N for N test images.")
    return resolution**2 / 12


def wilson_interval(right: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share that was observed as `right` of `n`, such as right answers to test images.

    (r + z^2/2 -+ z sqrt(r (n - r) / n + z^2/4)) / (n + z^2), z = 1.96; within [0, 1], also for shares of 0 and 1
    (Wilson, Journal of the American Statistical Association 22, 1927).

    Args:
        right: in 0..n.
        n: at least 1.

    Raises:
        UserError: either is out of range.

    Example:
        >>> wilson_interval(81, 90)
        (0.8207..., 0.9464...)
    """
    if n < 1 or not 0 <= right <= n:
        raise UserError(f"`right` must be in 0..`n` and `n` at least 1, got {right} of {n}.")
    z = float(ndtri(0.5 + CONFIDENCE / 2))
    middle, half = right + z * z / 2, z * math.sqrt(right * (n - right) / n + z * z / 4)
    return max(0.0, (middle - half) / (n + z * z)), min(1.0, (middle + half) / (n + z * z))


def paired_difference(
    a: Mapping[int, float], b: Mapping[int, float], *, resolution: float | None = None
) -> PairedDifference:
    """Difference a - b, paired over seeds, so that what a seed does to both (data order, weights) cancels.

    Accuracies are whole numbers of N test images, so that a few seeds often differ by the very same number of images,
    which hides noise below one image: two seeds of two arms that are equally good, 90 to 98 % right, differ by the very
    same number of images, and not by 0, in 3 to 10 % of cases with 120 or 360 images (drawn from binomial
    distributions). The standard deviation of the differences is therefore at least

        s >= sqrt(2 resolution^2 / 12) = resolution / sqrt(6),    resolution = 1 / N,

    that of two numbers that are each rounded to steps of `resolution`.

    Args:
        a, b: seed -> value, finite; seeds that only one of them has are left out.
        resolution: the step in which the values are counted, > 0, as 1 / N of accuracies on N test images; None if
            there is no step, or it is unknown.

    Returns:
        n, mean, low and high, the two-sided `p` of no difference, and `beyond_noise`: the 95 % interval excludes 0
        (never for n < 2). Differences that are all 0 have p = 1. Without `resolution`, differences that are all the
        same but not 0 say nothing of their noise: low, high and p are None, as for n = 1.

    Raises:
        UserError: a value is not finite, or `resolution` is not > 0.

    Example:
        >>> paired_difference({0: 0.9, 1: 0.8, 2: 0.85}, {0: 0.8, 1: 0.7, 2: 0.74})["beyond_noise"]
        True
        >>> one_image_apart = {0: 0.91, 1: 0.92}, {0: 0.90, 1: 0.91}
        >>> paired_difference(*one_image_apart, resolution=0.01)["p"]
        0.17...
    """
    differences = paired_values(a, b)
    if not differences:
        return {"n": 0, "mean": None, "low": None, "high": None, "p": None, "beyond_noise": False}
    n, mean = len(differences), math.fsum(differences) / len(differences)
    deviation = _deviation_of_differences(differences, resolution)
    if deviation is None or (not deviation and mean):
        return {"n": n, "mean": mean, "low": None, "high": None, "p": None, "beyond_noise": False}
    half_width = float(stdtrit(n - 1, 0.5 + CONFIDENCE / 2)) * deviation / math.sqrt(n)
    low, high = mean - half_width, mean + half_width
    p = _p_value(mean, deviation, n)
    return {"n": n, "mean": mean, "low": low, "high": high, "p": p, "beyond_noise": low > 0 or high < 0}


def _deviation_of_differences(differences: Sequence[float], resolution: float | None) -> float | None:
    """Of differences of values that are counted in steps of `resolution`; None for one, 0 for ties in unknown steps."""
    deviation, least = standard_deviation(differences), (2 * rounding_variance(resolution)) ** 0.5
    if deviation is None:
        return None
    # 0.9 - 0.8 and 0.8 - 0.7 are the same, up to the last bit.
    tie = deviation <= _ROUNDING * max(1.0, *map(abs, differences))
    return least if tie else max(deviation, least)


def paired_values(a: Mapping[int, float], b: Mapping[int, float]) -> list[float]:
    """a - b of every seed that both have."""
    return [a[seed] - b[seed] for seed in sorted(a.keys() & b.keys())]


def seeds_needed(values: Sequence[float], *, tests: int = 1, resolution: float | None = None) -> int | None:
    """How many seeds in all it takes for the interval of a mean to exclude 0, if mean and spread stay as they are.

    The smallest N > n with t(0.975, N - 1) s / sqrt(N) < |mean|. With so many seeds the interval excludes 0 about every
    other time: true mean and spread are not the observed ones.

    Args:
        values: observed paired differences, one per seed, n >= 2.
        tests: the p value is multiplied by this before it is compared with 0.05, as in Holm's correction.
        resolution: see `paired_difference`.

    Returns:
        None for a mean of 0, for a single value, for values that are all the same without `resolution`, and where more
        than 10,000 would be needed.

    Example:
        >>> seeds_needed([0.01, 0.03, 0.02, -0.02])
        21
    """
    deviation, n = _deviation_of_differences(values, resolution), len(values)
    mean = math.fsum(values) / n
    if not deviation or not mean:
        return None
    return first_that(lambda count: _p_value(mean, deviation, count) * tests < SIGNIFICANCE, n)


def first_that(tells: Callable[[int], bool], n: int) -> int | None:
    """The smallest count above n for which `tells` holds, as it does for all larger ones; None for more than 10,000."""
    low, high = n, n + 1
    while not tells(high):
        if high >= MOST_SEEDS:
            return None
        low, high = high, min(2 * high, MOST_SEEDS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if tells(middle) else (middle, high)
    return high


def holm(p_values: Sequence[float], *, tests: int | None = None) -> list[float]:
    """Holm's step-down correction: where p < 0.05 counts, all true null hypotheses of many survive with 95 %.

    The i-th smallest of m p values is multiplied by m - i + 1, at least as large as the one before it and at most 1
    (Holm, Scandinavian Journal of Statistics 6, 1979).

    Args:
        p_values: in [0, 1].
        tests: m, where these p values are some of more tests that could have been looked at, as those of the best of
            some arms; by default there are no others.

    Raises:
        UserError: a p value is not in [0, 1], or `tests` is smaller than their number.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    tests = len(p_values) if tests is None else tests
    if tests < len(p_values):
        raise UserError(f"`tests` must be at least the {len(p_values)} p values, got {tests}.")
    for p in p_values:
        if not 0 <= p <= 1:
            raise UserError(f"`p_values` must be in [0, 1], got {p}.")
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        largest = max(largest, min(1.0, p_values[place] * (tests - rank)))
        adjusted[place] = largest
    return adjusted


def corrected(rows: Sequence[dict[str, Any]], tests: int | None = None) -> list[dict[str, Any]]:
    """Paired differences of one family with Holm's `p_adjusted`, by which they are then `beyond_noise` or not.

    Args:
        rows: with `p`, None where the spread is unknown, as of a single seed, which counts as no test, and
            `beyond_noise`.
        tests: see `holm`.
    """
    tested = [row for row in rows if row["p"] is not None]
    tests = max(len(tested), tests or 1)
    adjusted = iter(holm([row["p"] for row in tested], tests=tests))
    corrected_rows = []
    for row in rows:
        p = None if row["p"] is None else next(adjusted)
        beyond = row["beyond_noise"] if tests < 2 or p is None else p < SIGNIFICANCE
        corrected_rows.append({**row, "tests": tests, "p_adjusted": p, "beyond_noise": beyond})
    return corrected_rows


def _p_value(mean: float, deviation: float, n: int) -> float:
    """Two-sided p value of the t test that the true mean is 0."""
    if not deviation:
        return 0.0 if mean else 1.0
    return 2 * float(stdtr(n - 1, -abs(mean) * math.sqrt(n) / deviation))


def _check(values: Sequence[float]) -> None:
    if not values:
        raise UserError("`values` must hold at least one number, got none; a mean needs one finished run.")
    for value in values:
        if not math.isfinite(value):
            raise UserError(f"`values` must be finite, got {value}; leave failed runs out.")
