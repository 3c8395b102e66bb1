"""Where a frontier comes within a margin: by hand, against scipy, and how often the interval holds the truth."""

import math

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from scipy import stats

from limbeck.errors import UserError
from limbeck.evaluation import images_needed
from limbeck.evaluation.frontier import at_images

CURVE = {100: {0: 0.80, 1: 0.81, 2: 0.80}, 400: {0: 0.90, 1: 0.90, 2: 0.91}}
FULL = {0: 0.88, 1: 0.87, 2: 0.88}


def constant(levels: dict[int, float], seeds: int = 2) -> dict[int, dict[int, float]]:
    return {images: dict.fromkeys(range(seeds), level) for images, level in levels.items()}


def test_without_noise_the_crossing_is_all_of_the_interval() -> None:
    result = images_needed(constant({100: 0.8, 400: 0.9}), {0: 0.87, 1: 0.87}, 0.02)
    assert result is not None
    assert [result[key] for key in ("images", "low", "high")] == pytest.approx([200, 200, 200])
    assert (result["n"], result["least"], result["most"]) == (2, pytest.approx(100), pytest.approx(400))
    assert not result["at_most"]
    assert result["seeds_needed"] is None


def test_the_ends_are_where_the_paired_t_test_says_five_percent() -> None:
    result = images_needed(CURVE, FULL, 0.02)
    assert result is not None
    for end, above in ((result["low"], False), (result["high"], True)):
        assert end is not None
        values = list(at_images(CURVE, end).values())
        test = stats.ttest_rel(values, [value - 0.02 for value in FULL.values()])
        assert test.pvalue == pytest.approx(0.05)
        assert (test.statistic > 0) == above
    assert np.mean(list(at_images(CURVE, result["images"] or 0).values())) == pytest.approx(
        np.mean([*FULL.values()]) - 0.02
    )


def test_enough_at_the_smallest_budget() -> None:
    surely = images_needed(constant({50: 0.9, 100: 0.9}), {0: 0.9, 1: 0.9}, 0.01)
    assert surely is not None
    assert (surely["at_most"], surely["low"]) == (True, None)
    assert (surely["images"], surely["high"]) == (pytest.approx(50), pytest.approx(50))
    perhaps = images_needed({50: {0: 0.9, 1: 0.8}, 100: {0: 0.95, 1: 0.95001}}, {0: 0.84, 1: 0.84}, 0.0)
    assert perhaps is not None
    assert perhaps["at_most"]
    assert perhaps["low"] is None
    assert perhaps["high"] is not None
    assert 50 < perhaps["high"] < 100


def test_not_enough_at_the_largest_budget() -> None:
    surely = images_needed(constant({50: 0.5, 100: 0.6}), {0: 0.9, 1: 0.9}, 0.01)
    assert surely is not None
    assert (surely["images"], surely["high"], surely["seeds_needed"]) == (None, None, None)
    assert surely["low"] == pytest.approx(100)
    perhaps = images_needed({50: {0: 0.5, 1: 0.51}, 100: {0: 0.87, 1: 0.89}}, {0: 0.9, 1: 0.9}, 0.01)
    assert perhaps is not None
    assert perhaps["images"] is None
    assert perhaps["low"] is not None
    assert 50 < perhaps["low"] < 100
    assert perhaps["seeds_needed"] is not None
    assert perhaps["seeds_needed"] > 2


def test_seeds_needed_are_the_first_that_close_the_interval() -> None:
    values = [0.005, 0.012, 0.001, 0.008]  # above the margin at the largest budget, far below it at the smallest
    arm = {100: dict.fromkeys(range(4), 0.5), 400: {seed: 0.9 + value - 0.006 for seed, value in enumerate(values)}}
    result = images_needed(arm, 0.9, 0.0)
    assert result is not None
    assert (result["images"] or 0) > 100
    assert result["high"] is None
    needed = result["seeds_needed"]
    assert needed is not None
    mean, deviation = np.mean(values) - 0.006, np.std(values, ddof=1)
    reached = [stats.t.ppf(0.975, n - 1) * deviation / math.sqrt(n) < mean for n in (needed - 1, needed)]
    assert reached == [False, True]


def test_one_seed_has_no_interval() -> None:
    result = images_needed({100: {0: 0.8}, 400: {0: 0.9}}, {0: 0.87}, 0.02)
    assert result is not None
    assert result["images"] == pytest.approx(200)
    assert (result["n"], result["low"], result["high"], result["seeds_needed"]) == (1, None, None, None)


def test_one_budget_is_enough_or_not() -> None:
    enough, not_enough = (images_needed(constant({100: level}), {0: 0.9, 1: 0.9}, 0.01) for level in (0.9, 0.8))
    assert enough is not None
    assert (enough["images"], enough["at_most"]) == (pytest.approx(100), True)
    assert not_enough is not None
    assert (not_enough["images"], not_enough["low"]) == (None, pytest.approx(100))


def test_seeds_that_lack_a_budget_count_between_those_they_have() -> None:
    whole = {100: {0: 0.8, 1: 0.81, 2: 0.8}, 200: {0: 0.86, 1: 0.85, 2: 0.85}, 400: {0: 0.9, 1: 0.9, 2: 0.91}}
    gapped = {**whole, 400: {0: 0.9}}
    reference = dict.fromkeys(range(3), 0.85)
    first, other = (images_needed(arm, reference, 0.02) for arm in (whole, gapped))
    assert first is not None
    assert other is not None
    assert (first["images"], first["low"], first["n"]) == (other["images"], other["low"], other["n"])
    further = images_needed(gapped, reference, 0.0)
    assert further is not None
    assert (further["n"], further["high"]) == (3, None), "one seed at 400 images cannot close the interval"
    result = images_needed({100: {0: 0.8}, 400: {1: 0.9}}, reference, 0.0)
    assert result is not None
    assert result["images"] == pytest.approx(400), "no seed has both, so there is no line between them"


def test_nothing_to_pair() -> None:
    assert images_needed({100: {0: 0.8}}, {1: 0.9}, 0.01) is None
    assert images_needed({}, {1: 0.9}, 0.01) is None


def test_a_frontier_that_falls_again_counts_from_where_it_first_was_enough() -> None:
    result = images_needed(constant({100: 0.8, 200: 0.9, 400: 0.7}), 0.85, 0.0)
    assert result is not None
    assert [result[key] for key in ("images", "low", "high")] == pytest.approx([100 * 2**0.5] * 3)


curves = st.integers(2, 5).flatmap(
    lambda n: st.lists(st.lists(st.floats(0, 1), min_size=n, max_size=n), min_size=2, max_size=5)
)


def as_arm(rows: list[list[float]]) -> tuple[dict[int, dict[int, float]], dict[int, float]]:
    *budgets, full = (dict(enumerate(row)) for row in rows)
    return {50 * 2**place: row for place, row in enumerate(budgets)}, full


@given(curves, st.floats(0, 0.5), st.floats(0, 0.5))
def test_a_larger_margin_never_needs_more_images(rows, margin, more) -> None:
    arm, full = as_arm(rows)
    tight, loose = (images_needed(arm, full, allowed) for allowed in (margin, margin + more))
    assert tight is not None
    assert loose is not None
    for key in ("images", "high"):
        assert (loose[key] or math.inf) <= (tight[key] or math.inf) * (1 + 1e-6)
    assert (loose["low"] or 0) <= (tight["low"] or 0) * (1 + 1e-6)
    assert (tight["low"] or 0) <= (tight["images"] or math.inf) * (1 + 1e-6)
    assert (tight["high"] or math.inf) >= (tight["images"] or 0) * (1 - 1e-6)


@given(curves, st.randoms())
def test_the_order_of_seeds_does_not_matter(rows, random) -> None:
    arm, full = as_arm(rows)
    seeds = list(full)
    random.shuffle(seeds)
    shuffled = {images: {seed: row[seed] for seed in seeds} for images, row in reversed(arm.items())}
    assert images_needed(shuffled, full, 0.05) == images_needed(arm, full, 0.05)


def test_a_constant_added_to_everything_changes_nothing() -> None:
    raised = {images: {seed: value + 0.05 for seed, value in row.items()} for images, row in CURVE.items()}
    result = images_needed(raised, {seed: value + 0.05 for seed, value in FULL.items()}, 0.02)
    assert result == pytest.approx(images_needed(CURVE, FULL, 0.02))


@pytest.mark.parametrize("seeds", [3, 10])
def test_the_interval_holds_the_truth_as_often_as_it_says(seeds: int) -> None:
    """`benchmarks/images_needed.py` has curves, noises and seeds of many kinds."""
    random = np.random.default_rng(seeds)
    budgets, truth, held = (50, 100, 300), (0.80, 0.86, 0.92), 0
    level = 0.80 + 0.06 * 0.5
    for _ in range(400):
        full = dict(enumerate(random.normal(level, 0.01, seeds)))
        arm = {x: dict(enumerate(random.normal(mean, 0.02, seeds))) for x, mean in zip(budgets, truth, strict=True)}
        result = images_needed(arm, full, 0.0)
        assert result is not None
        held += (result["low"] or 0) <= 50 * 2**0.5 <= (result["high"] or math.inf)
    assert 0.92 * 400 <= held <= 0.98 * 400


@pytest.mark.parametrize(
    ("arm", "margin", "message"),
    [
        (CURVE, -0.01, r"`margin` must be >= 0, got -0.01; 0.01 is one point"),
        (CURVE, math.nan, r"`margin` must be >= 0, got nan"),
        ({0: {0: 0.5}}, 0.01, r"`arm` must have images > 0, got 0"),
        ({10: {0: math.nan}}, 0.01, r"must be finite, got nan; leave failed runs out"),
    ],
)
def test_wrong_values(arm, margin, message) -> None:
    with pytest.raises(UserError, match=message):
        images_needed(arm, FULL, margin)


def test_values_between_budgets() -> None:
    assert at_images(CURVE, 200) == pytest.approx({0: 0.85, 1: 0.855, 2: 0.855})
    assert at_images(CURVE, 400.0000001) == CURVE[400]
    assert at_images(CURVE, 50) == at_images(CURVE, 401) == {}
