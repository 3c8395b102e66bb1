"""How many images are enough: where the frontier of an arm comes within a margin of a reference, and how sure that is.

Between two budgets accuracy is interpolated linearly in the logarithm of the images. A frontier flattens out as
learning curves do, so this line lies below it and errs towards too many images.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypedDict

from scipy.special import stdtrit

from limbeck.errors import UserError
from limbeck.evaluation.statistics import CONFIDENCE, first_that, rounding_variance

ImageCounts = Mapping[int, Mapping[int, float]]
"""Images -> seed -> accuracy."""


class ImagesNeeded(TypedDict):
    """Where an arm comes within the margin.

    `images` is the smallest number that is enough, None if even the largest budget, `most`, is not. `at_most` says that
    the smallest budget, `least`, is already enough; `images` is then `least`. `low` and `high` are the ends of the 95 %
    interval, None where it extends below the smallest or above the largest budget, and if `n`, the number of seeds, is
    1. `seeds_needed` is how many seeds in all would tell whether the largest budget is enough, if means and spread
    stayed as they are; None if that is known already, for a single seed, and for more than 10,000.
    """

    n: int
    least: float
    most: float
    images: float | None
    at_most: bool
    low: float | None
    high: float | None
    seeds_needed: int | None


def images_needed(
    arm: ImageCounts, reference: Mapping[int, float] | float, margin: float, *, resolution: float | None = None
) -> ImagesNeeded | None:
    r"""The fewest images x with which the mean over seeds of arm(x) - reference + margin =: d(x) reaches 0.

    The interval begins at the first x whose own 95 % interval of d(x), Student's t over the seeds, reaches up to 0, and
    ends at the first where it lies above 0 (a test turned into an interval, as Fieller's of a ratio of means, Journal
    of the Royal Statistical Society B 16, 1954). For normal noise it keeps its level however few the seeds, which a
    bootstrap of three seeds does not; `benchmarks/images_needed.py` measures both. It is about the crossing of the
    *interpolated* true means, and says nothing beyond the smallest and the largest budget.

    Args:
        arm: images -> seed -> accuracy. A seed that lacks a budget counts between the budgets it has.
        reference: seed -> accuracy, paired with those of the arm, or one number that has no noise.
        margin: in accuracy, >= 0.
        resolution: the step in which accuracies are counted, 1 / N for N test images: the variance of d(x) at a budget
            is at least what rounding to it hides, as in `paired_difference`.

    Returns:
        None where no seed of the arm has a reference.

    Raises:
        UserError: the margin is negative, numbers are not finite, or images or `resolution` not positive.

    Example:
        >>> arm = {100: {0: 0.80, 1: 0.81, 2: 0.80}, 400: {0: 0.90, 1: 0.90, 2: 0.91}}
        >>> found = images_needed(arm, {0: 0.88, 1: 0.87, 2: 0.88}, margin=0.02)
        >>> round(found["images"]), round(found["low"]), round(found["high"])
        (209, 154, 262)
    """
    rounded = 2 if isinstance(reference, Mapping) else 1  # numbers in each difference that have seeds
    frontier = _frontier(arm, reference, margin, rounded * rounding_variance(resolution))
    if not frontier:
        return None
    crossing = next((segment for segment in frontier if segment.reaches_zero() is not None), None)
    n, start = (frontier[-1].n, None) if crossing is None else (crossing.n, crossing.reaches_zero())
    least, most = frontier[0].left, frontier[-1].right
    low, high = _ends(frontier)
    conclusive = high is not None if start is not None else low == most
    return {
        "n": n,
        "least": math.exp(least),
        "most": math.exp(most),
        "images": None if start is None else math.exp(start),
        "at_most": start == least,
        "low": None if n < 2 or low is None else math.exp(low),
        "high": None if n < 2 or high is None else math.exp(high),
        "seeds_needed": None if n < 2 or conclusive else _seeds_to_tell(frontier, n, start is not None),
    }


def at_images(curve: ImageCounts, images: float) -> dict[int, float]:
    """Every seed's value at `images`, interpolated linearly in the logarithm of the budgets; none beyond them.

    Args:
        curve: images -> seed -> accuracy, or cost.
        images: where to read the curve; within a millionth of a budget, the values are those of that budget.

    Example:
        >>> at_images({100: {0: 0.8, 1: 0.7}, 400: {0: 0.9}}, 200)
        {0: 0.85...}
    """
    for budget, values in curve.items():
        if math.isclose(budget, images, rel_tol=1e-6):
            return dict(values)
    below, above = [x for x in curve if x < images], [x for x in curve if x > images]
    if not below or not above:
        return {}
    left, right = max(below), min(above)
    w = math.log(images / left) / math.log(right / left)
    lower, upper = curve[left], curve[right]
    return {seed: (1 - w) * lower[seed] + w * upper[seed] for seed in sorted(lower.keys() & upper.keys())}


@dataclass(frozen=True)
class _Piece:
    """Log images between which the sign of d is the same at 95 %: 1, -1, or 0 where the interval of d holds 0."""

    left: float
    right: float
    sign: int


@dataclass(frozen=True)
class _Segment:
    """d between two budgets, or at one where left == right: at the share w of the way its mean is (1 - w) a + w b.

    `variances` are the sample variances of both ends and their covariance, over n seeds.
    """

    left: float
    right: float
    n: int
    ends: tuple[float, float]
    variances: tuple[float, float, float]

    def reaches_zero(self) -> float | None:
        """The first log images at which the mean is at least 0."""
        a, b = self.ends
        if a >= 0:
            return self.left
        return self._at(a / (a - b)) if b >= 0 else None

    def pieces(self, n: int | None = None) -> list[_Piece]:
        """Where the interval of d is below, around and above 0, with `n` seeds in place of those there are."""
        n = n or self.n
        if self.n < 2:
            return [_Piece(self.left, self.right, 0)]
        scale = float(stdtrit(n - 1, 0.5 + CONFIDENCE / 2)) ** 2 / n
        (a, b), (va, vb, vab) = self.ends, self.variances
        # mean(w)^2 - (t s(w))^2 / n as c0 + c1 w + c2 w^2: where it is negative, the interval holds 0.
        c0 = a * a - scale * va
        c1 = 2 * (a * (b - a) - scale * (vab - va))
        c2 = (b - a) ** 2 - scale * (va - 2 * vab + vb)
        crossing = [a / (a - b)] if a * b < 0 else []  # without noise there is no other root
        cuts = sorted({0.0, 1.0, *(w for w in [*_roots(c0, c1, c2), *crossing] if 0 < w < 1)})
        pieces = []
        for w, v in pairwise(cuts):
            middle = (w + v) / 2
            sign = 0 if c0 + middle * (c1 + middle * c2) <= 0 else 1 if a + (b - a) * middle > 0 else -1
            pieces.append(_Piece(self._at(w), self._at(v), sign))
        return pieces

    def _at(self, w: float) -> float:
        return self.right if w == 1 else self.left + w * (self.right - self.left)


def _frontier(
    arm: ImageCounts, reference: Mapping[int, float] | float, margin: float, least_variance: float
) -> list[_Segment]:
    if not margin >= 0:
        raise UserError(f"`margin` must be >= 0, got {margin}; 0.01 is one point of accuracy.")
    differences: dict[float, dict[int, float]] = {}
    for images, values in sorted(arm.items()):
        if not images > 0:
            raise UserError(f"`arm` must have images > 0, got {images}.")
        paired = {
            seed: value - (reference[seed] if isinstance(reference, Mapping) else reference) + margin
            for seed, value in sorted(values.items())
            if not isinstance(reference, Mapping) or seed in reference
        }
        for value in paired.values():
            if not math.isfinite(value):
                raise UserError(f"`arm` and `reference` must be finite, got {value}; leave failed runs out.")
        if paired:
            differences[math.log(images)] = paired
    knots = list(differences.items())
    segments = [
        _segment(left, right, least_variance) for left, right in pairwise(knots) if left[1].keys() & right[1].keys()
    ]
    joined = {end for segment in segments for end in (segment.left, segment.right)}
    segments += [_segment(knot, knot, least_variance) for knot in knots if knot[0] not in joined]
    return sorted(segments, key=lambda segment: segment.left)


def _segment(
    one: tuple[float, Mapping[int, float]], other: tuple[float, Mapping[int, float]], least_variance: float
) -> _Segment:
    """Of the seeds that both ends have."""
    seeds = sorted(one[1].keys() & other[1].keys())
    n = len(seeds)
    left, right = ([values[seed] for seed in seeds] for values in (one[1], other[1]))
    a, b = math.fsum(left) / n, math.fsum(right) / n
    pairs = ((left, a, left, a), (right, b, right, b), (left, a, right, b))
    va, vb, vab = (
        math.fsum((x - mx) * (y - my) for x, y in zip(xs, ys, strict=True)) / max(n - 1, 1) for xs, mx, ys, my in pairs
    )
    floored = (max(va, least_variance), max(vb, least_variance), vab)
    return _Segment(one[0], other[0], n, (a, b), floored)


def _roots(c0: float, c1: float, c2: float) -> list[float]:
    """Real roots of c0 + c1 w + c2 w^2."""
    if not c2:
        return [-c0 / c1] if c1 else []
    square = c1 * c1 - 4 * c0 * c2
    if square < 0:
        return []
    far = -(c1 + math.copysign(math.sqrt(square), c1)) / 2  # no difference of nearly equal numbers
    return [far / c2, *([c0 / far] if far else [])]


def _ends(frontier: Sequence[_Segment], n: int | None = None) -> tuple[float | None, float | None]:
    """The first log images that may be enough and the first that surely are; None beyond the budgets.

    If not even the largest budget may be enough, it stands in for the first.
    """
    pieces = [piece for segment in frontier for piece in segment.pieces(n)]
    first = next((index for index, piece in enumerate(pieces) if piece.sign >= 0), None)
    low = frontier[-1].right if first is None else pieces[first].left if first else None
    return low, next((piece.left for piece in pieces if piece.sign > 0), None)


def _seeds_to_tell(frontier: Sequence[_Segment], n: int, reached: bool) -> int | None:
    """Seeds in all that would show which images surely are enough or, if the mean never gets there, that none are."""

    def tells(count: int) -> bool:
        low, high = _ends(frontier, count)
        return high is not None if reached else low == frontier[-1].right

    return first_that(tells, n)
