"""Who stops in a race: arithmetic that is checked by hand, and rates that are checked by simulation."""

import math

import numpy as np
import pytest
from scipy.stats import norm, t

from limbeck.evaluation.racing import Scores, ValidationScore, standings

MANY = 10**9
"""So many validation images that they add no uncertainty."""


def scores(**arms: list[float]) -> dict[str, dict[int, ValidationScore]]:
    return {
        arm.replace("_", "-"): {seed: ValidationScore(value) for seed, value in enumerate(top1)}
        for arm, top1 in arms.items()
    }


def stopped(now: Scores, before: Scores | None = None, *, ahead: float = 0.0, **changes: float) -> list[str]:
    options = {"keep": 0.5, "level": 0.95, "images": MANY} | changes
    result = standings(
        now, before, ahead=ahead, keep=options["keep"], level=options["level"], images=int(options["images"])
    )
    return [standing.arm for standing in result if standing.stops]


def test_two_arms_are_student_s_paired_t() -> None:
    a, b = [0.90, 0.93, 0.91], [0.85, 0.86, 0.87]
    _, other = standings(scores(a=a, b=b), keep=0.5, level=0.975, images=MANY)
    differences = np.subtract(b, a)
    half = t.ppf(0.975, 2) * differences.std(ddof=1) / math.sqrt(3)
    assert other.difference == pytest.approx(differences.mean())
    assert (other.low, other.high) == pytest.approx((differences.mean() - half, differences.mean() + half), abs=1e-5)
    assert (other.projected, other.reach) == (other.difference, other.high)
    assert (other.n, other.accuracy) == (3, pytest.approx(0.86))


def test_many_arms_lend_each_other_their_spread() -> None:
    steady = {f"arm{k}": [0.7 - k / 100, 0.72 - k / 100] for k in range(4)}  # the seeds do the same to all of them
    alone = standings(scores(best=[0.90, 0.921], far=[0.6, 0.62]), keep=0.5, level=0.95, images=MANY)[-1]
    among = standings(scores(best=[0.90, 0.921], far=[0.6, 0.62], **steady), keep=0.5, level=0.95, images=MANY)[-1]
    assert among.arm == "far"
    assert among.high - among.difference < (alone.high - alone.difference) / 2
    wild = {**steady, "arm0": [0.5, 0.9]}
    assert "arm0" not in stopped(scores(best=[0.90, 0.921], **wild))  # its own spread counts where it is larger


def test_images_that_all_seeds_share_leave_doubt_that_no_seed_takes_away() -> None:
    seeds = range(1000)
    now = {arm: {seed: ValidationScore(top1) for seed in seeds} for arm, top1 in {"a": 0.9, "b": 0.8}.items()}
    _, other = standings(now, keep=0.5, level=0.975, images=100)
    assert other.high - other.difference == pytest.approx(norm.ppf(0.975) * math.sqrt((0.09 + 0.16) / 100))
    right = np.arange(100) < 90
    same = {"a": right, "b": right & (np.arange(100) >= 10)}  # b is never right where a is wrong
    per_image = {
        arm: {seed: ValidationScore(float(correct.mean()), correct) for seed in seeds} for arm, correct in same.items()
    }
    _, other = standings(per_image, keep=0.5, level=0.975, images=100)
    assert other.high - other.difference == pytest.approx(norm.ppf(0.975) * math.sqrt(100 * 0.09 + 2) / 102)
    mixed = {**per_image, "a": now["a"]}  # one of an earlier version: the bound holds for all
    assert standings(mixed, keep=0.5, level=0.975, images=100)[1].high == pytest.approx(-0.1 + 0.098, abs=1e-4)


def test_an_arm_that_gains_on_the_best_goes_on() -> None:
    now = scores(best=[0.90, 0.91, 0.90], late=[0.80, 0.81, 0.80], flat=[0.80, 0.81, 0.80])
    before = scores(best=[0.88, 0.89, 0.88], late=[0.70, 0.71, 0.70], flat=[0.79, 0.80, 0.79])
    assert stopped(now, keep=0.3) == ["late", "flat"]
    assert stopped(now, before, ahead=1.0, keep=0.3) == ["late", "flat"]
    assert stopped(now, before, ahead=2.0, keep=0.3) == ["flat"]
    late = next(
        standing
        for standing in standings(now, before, ahead=2.0, keep=0.3, level=0.95, images=MANY)
        if standing.arm == "late"
    )
    assert late.projected == pytest.approx(-0.10 + 2 * 0.08)
    falling = scores(best=[0.88, 0.89, 0.88], late=[0.88, 0.89, 0.88], flat=[0.88, 0.89, 0.88])
    assert stopped(now, falling, ahead=1.0, keep=0.3) == ["late", "flat"]


def test_the_best_share_goes_on_and_equals_share_a_place() -> None:
    now = scores(a=[0.9, 0.9], b=[0.8, 0.8], c=[0.7, 0.7], d=[0.6, 0.6], e=[0.5, 0.5])
    assert stopped(now) == ["d", "e"]  # three of five are kept
    assert stopped(now, keep=0.2) == ["b", "c", "d", "e"]
    assert stopped(now, keep=1.0) == []
    assert stopped(scores(a=[0.9, 0.9], b=[0.5, 0.5], c=[0.5, 0.5])) == []  # both are second of two that are kept
    assert stopped(scores(a=[0.9, 0.9], b=[0.9, 0.9], c=[0.9, 0.9])) == []


def test_nobody_stops_where_too_little_is_known() -> None:
    assert standings({}, keep=0.5, level=0.95, images=10) == []
    assert standings(scores(a=[0.9], b=[0.1]), keep=0.5, level=0.95, images=10) == []
    assert standings(scores(a=[0.9, 0.9]), keep=0.5, level=0.95, images=10) == []
    apart = {
        "a": {0: ValidationScore(0.9), 1: ValidationScore(0.9)},
        "b": {1: ValidationScore(0.1), 2: ValidationScore(0.1)},
    }
    assert standings(apart, keep=0.5, level=0.95, images=10) == []


def test_missing_seeds_count_for_no_arm_and_an_arm_of_one_seed_is_left_out() -> None:
    now = scores(a=[0.9, 0.91, 0.2], b=[0.5, 0.51], c=[0.7, 0.71, 0.72], d=[0.1])
    result = standings(now, keep=0.3, level=0.95, images=MANY)
    assert [(standing.arm, standing.n) for standing in result] == [("a", 2), ("c", 2), ("b", 2)]
    assert [standing.arm for standing in result if standing.stops] == ["c", "b"]


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_arms_as_good_as_the_best_stop_as_rarely_as_promised(seeds: int) -> None:
    """Eight equal arms: one that is judged below all others stops in few of many races, doubt shared out
    among their 8 x 7 ordered pairs; students that are right on an image or not by how hard it is, by the seed, and by
    chance."""
    generator, races, images, wrong = np.random.default_rng(0), 400, 150, 0
    for _ in range(races):
        hard = generator.normal(1.5, 1.5, size=images)
        shared = generator.normal(0, 0.2, size=(1, seeds, 1))
        skill = hard + shared + generator.normal(0, 0.2, size=(8, seeds, 1))
        right = skill + generator.logistic(0, 0.5, size=(8, seeds, images)) > 0
        now = {
            str(arm): {seed: ValidationScore(float(right[arm, seed].mean()), right[arm, seed]) for seed in range(seeds)}
            for arm in range(8)
        }
        wrong += any(standing.stops for standing in standings(now, keep=0.5, level=1 - 0.05 / 56, images=images))
    assert wrong / races < 0.05
