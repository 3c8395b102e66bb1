"""Which arms of a race can no longer reach the best: paired over seeds, with allowance for what is not known yet."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

_Numbers = NDArray[np.float64]


class ValidationScore(NamedTuple):
    """A student's accuracy on the validation images, 0..1, and which it got right, bool `[n]`, where that is known."""

    top1: float
    right: NDArray[np.bool_] | None = None


Scores = Mapping[str, Mapping[int, ValidationScore]]
"""Arm -> seed -> score on the validation images."""


class Standing(NamedTuple):
    """An arm at a rung of a race.

    Attributes:
        arm: its name.
        n: seeds that all arms have.
        accuracy: on the validation images, mean over these seeds.
        difference: to the best arm, of which it is 0; with the ends of its interval, `low` and `high`.
        projected: the difference at the end, were the arm to go on gaining on the best as it did; `reach` is the upper
            end of its interval.
        stops: whether it is outside of the best share and neither `high` nor `reach` comes up to 0.
    """

    arm: str
    n: int
    accuracy: float
    difference: float
    low: float
    high: float
    projected: float
    reach: float
    stops: bool


def standings(
    now: Scores, before: Scores | None = None, *, ahead: float = 0.0, keep: float, level: float, images: int
) -> list[Standing]:
    """Arms at a rung, the best first, and which of them stop there.

    An arm stops if it is outside of the best `keep` of the arms, as in successive halving (Jamieson and Talwalkar 2016,
    arXiv:1502.07943), and its difference to the best is below 0 with all of its interval, now and as projected. The
    difference d is paired over seeds. An arm that gains on the best may gain some more: it is projected to
    d + ahead (d - d before). d is uncertain for two reasons, whose variances add up:

    - seeds: Student's t, with the spread of the arm's own differences or that of all arms, whichever is larger, the
      latter from what is left of an accuracy without the means of its arm and its seed, (A - 1) (n - 1) degrees of
      freedom for A arms. A handful of seeds tells little of the spread of one arm, and all arms together more;
    - validation images, which are the same for all seeds, so that no number of seeds helps: the normal distribution,
      with the spread over images of how much oftener one arm is right than the other, and two images added of which
      each arm gets one right (Agresti and Min 2005, doi:10.1002/sim.1781). Where it is not known which images a student
      got right, (a (1 - a) + b (1 - b)) / images of two accuracies a and b, an upper bound if students tend
      to err on the same images.

    Args:
        now: the students at the rung. A seed that some arm lacks counts for none; an arm with less than two seeds is
            left out, and with less than two seeds or arms left none stops.
        before: the same at an earlier step, for all arms and seeds in `now`; needed where `ahead` is not 0.
        ahead: how much more is to come, in units of what came since `before`, >= 0.
        keep: share of the arms, rounded up, that go on in any case, in (0, 1].
        level: of one decision, one-sided, in (0.5, 1).
        images: validation images.

    Example:
        >>> top1 = {"a": (0.90, 0.92), "b": (0.50, 0.51), "c": (0.89, 0.92)}
        >>> now = {arm: {seed: ValidationScore(one) for seed, one in enumerate(both)} for arm, both in top1.items()}
        >>> [(one.arm, one.stops) for one in standings(now, keep=0.5, level=0.95, images=1000)]
        [('a', False), ('c', False), ('b', True)]
    """
    arms = [arm for arm, seeds in now.items() if len(seeds) > 1]
    seeds = sorted(set.intersection(*(set(now[arm]) for arm in arms))) if arms else []
    if len(arms) < 2 or len(seeds) < 2:
        return []
    scores, right = _accuracies(now, arms, seeds), _right(now, arms, seeds)
    means = scores.mean(axis=1)
    best = int(means.argmax())
    bound = (means * (1 - means) + means[best] * (1 - means[best])) / images
    difference, half = _differences(scores, right, best, level, bound)
    projected, projected_half = difference, half
    if ahead:
        assert before is not None
        earlier, earlier_right = _accuracies(before, arms, seeds), _right(before, arms, seeds)
        projected_right = None if right is None or earlier_right is None else right + ahead * (right - earlier_right)
        projected, projected_half = _differences(
            scores + ahead * (scores - earlier), projected_right, best, level, bound
        )
    lowest_kept = sorted(means, reverse=True)[math.ceil(keep * len(arms)) - 1]
    high, reach = difference + half, projected + projected_half
    stops = (means < lowest_kept) & (high < 0) & (reach < 0)
    columns = np.stack([means, difference, difference - half, high, projected, reach], axis=1).tolist()
    order = np.argsort(-means, kind="stable")
    return [Standing._make([arms[i], len(seeds), *columns[i], bool(stops[i])]) for i in order]


def _accuracies(scores: Scores, arms: list[str], seeds: list[int]) -> _Numbers:
    """[A, S]."""
    return np.array([[scores[arm][seed].top1 for seed in seeds] for arm in arms])


def _right(scores: Scores, arms: list[str], seeds: list[int]) -> _Numbers | None:
    """How often each arm is right on each image, mean over seeds, [A, n]; None where it is not known of all."""
    rows = [[scores[arm][seed].right for seed in seeds] for arm in arms]
    if any(right is None for row in rows for right in row):
        return None
    return np.array([np.mean(np.array(row, dtype=float), axis=0) for row in rows])


def _differences(
    scores: _Numbers, right: _Numbers | None, best: int, level: float, bound: _Numbers
) -> tuple[_Numbers, _Numbers]:
    """Mean differences to the row `best`, and half the widths of their intervals; `bound` is that of the images."""
    arms, seeds = scores.shape
    differences = scores - scores[best]
    residuals = scores - scores.mean(axis=0) - scores.mean(axis=1, keepdims=True) + scores.mean()
    freedom = (arms - 1) * (seeds - 1)
    pooled = np.sqrt(2 * (residuals**2).sum() / freedom)
    spread = np.maximum(differences.std(axis=1, ddof=1), pooled) / math.sqrt(seeds)
    if right is not None:
        per_image = right - right[best]
        images = per_image.shape[1]
        bound = (images * per_image.var(axis=1) + 2) / (images + 2) ** 2
    half = np.hypot(stdtrit(freedom, level) * spread, ndtri(level) * np.sqrt(bound))
    half[best] = 0.0
    return differences.mean(axis=1), half
