import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from scipy import stats

from limbeck.errors import UserError
from limbeck.evaluation import holm, mean_interval, paired_difference, seeds_needed, standard_deviation

accuracies = st.lists(st.floats(0, 1), min_size=2, max_size=8)


@given(accuracies)
def test_interval_agrees_with_scipy(values):
    mean, half_width = mean_interval(values)
    expected = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5
    assert mean == pytest.approx(sum(values) / len(values))
    assert half_width == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_one_value_has_no_spread():
    assert mean_interval([0.5]) == (0.5, None)
    assert standard_deviation([0.5]) is None


@given(accuracies, accuracies)
def test_paired_interval_excludes_zero_as_the_paired_t_test_does(a, b):
    n = min(len(a), len(b))
    gaps = [x - y for x, y in zip(a[:n], b[:n], strict=True)]
    if max(gaps) - min(gaps) < 1e-3:
        return  # the test divides by the spread
    p = stats.ttest_rel(a[:n], b[:n]).pvalue
    result = paired_difference(dict(enumerate(a[:n])), dict(enumerate(b[:n])))
    assert result["p"] == pytest.approx(p, rel=1e-6, abs=1e-12)
    if abs(p - 0.05) > 1e-6:
        assert result["beyond_noise"] == (p < 0.05)


def test_pairs_only_the_seeds_of_both():
    result = paired_difference({0: 0.9, 1: 0.9, 7: 0.1}, {1: 0.8, 0: 0.8, 5: 1.0}, resolution=1e-3)
    assert result["n"] == 2
    assert result["mean"] == pytest.approx(0.1)
    assert result["beyond_noise"]


def test_pairing_removes_what_seeds_share():
    a, b = {0: 0.50, 1: 0.70, 2: 0.90}, {0: 0.49, 1: 0.689, 2: 0.891}
    assert paired_difference(a, b)["beyond_noise"]


def test_one_pair_or_none_is_never_beyond_noise():
    assert paired_difference({0: 0.9}, {0: 0.1})["beyond_noise"] is False
    assert paired_difference({0: 0.9}, {0: 0.1})["low"] is None
    assert paired_difference({0: 0.9}, {1: 0.1}) == {
        "n": 0,
        "mean": None,
        "low": None,
        "high": None,
        "p": None,
        "beyond_noise": False,
    }


def test_equal_values_differ_by_exactly_nothing():
    same = {0: 0.5, 1: 0.7}
    nothing = {"n": 2, "mean": 0.0, "low": 0.0, "high": 0.0, "p": 1.0, "beyond_noise": False}
    assert paired_difference(same, same) == nothing


@pytest.mark.parametrize(("a", "b"), [((0.75, 0.5), (0.5, 0.25)), ((0.9, 0.8), (0.8, 0.7))])  # ties up to the last bit
def test_differences_that_are_all_the_same_tell_nothing_of_their_noise(a, b):
    result = paired_difference(dict(enumerate(a)), dict(enumerate(b)))
    assert result == {"n": 2, "mean": pytest.approx(a[0] - b[0])} | dict.fromkeys(("low", "high", "p")) | {
        "beyond_noise": False
    }
    assert seeds_needed([x - y for x, y in zip(a, b, strict=True)]) is None


def test_counting_whole_images_leaves_noise_where_seeds_tie():
    one_image_apart = {0: 60 / 120, 1: 72 / 120}, {0: 59 / 120, 1: 71 / 120}
    result = paired_difference(*one_image_apart, resolution=1 / 120)
    deviation = 1 / 120 / 6**0.5  # of a difference of two numbers, each uniform within its step
    assert result["p"] == pytest.approx(2 * stats.t.sf(1 / 120 * 2**0.5 / deviation, 1))
    assert (result["p"], result["beyond_noise"]) == (pytest.approx(0.179, abs=1e-3), False)
    assert result["high"] == pytest.approx(1 / 120 + stats.t.ppf(0.975, 1) * deviation / 2**0.5)
    assert seeds_needed([1 / 120, 1 / 120], resolution=1 / 120) == 4
    nothing = paired_difference({0: 0.5, 1: 0.7}, {0: 0.5, 1: 0.7}, resolution=1 / 120)
    assert (nothing["mean"], nothing["p"], nothing["beyond_noise"]) == (0.0, 1.0, False)
    assert (nothing["low"], nothing["high"]) == pytest.approx((-0.0306, 0.0306), abs=1e-4)
    apart = {0: 0.9, 1: 0.8, 2: 0.85}, {0: 0.8, 1: 0.6, 2: 0.7}
    assert paired_difference(*apart, resolution=0.01) == paired_difference(*apart)  # a larger spread stays as it is
    _, half_width = mean_interval([0.5, 0.5], resolution=0.01)
    assert half_width == pytest.approx(stats.t.ppf(0.975, 1) * 0.01 / 12**0.5 / 2**0.5)
    for resolution in (0.0, -0.1, float("inf")):
        with pytest.raises(UserError, match="`resolution` must be > 0 and finite"):
            paired_difference(*apart, resolution=resolution)


@pytest.mark.parametrize("images", [120, 360])
def test_equal_arms_are_no_oftener_beyond_noise_for_being_counted_in_images(images):
    """Two seeds of each: without the floor 12 and 6 % of equal arms are beyond noise, nearly all of them with p = 0."""
    generator, found = np.random.default_rng(0), []
    for _ in range(2000):
        a, b = (dict(enumerate(np.round(images * generator.normal(0.9, 0.01, 2)) / images)) for _ in "ab")
        found.append(paired_difference(a, b, resolution=1 / images))
    assert all(row["p"] > 0 for row in found)
    assert sum(row["beyond_noise"] for row in found) / len(found) < 0.05
    corrected_for_seven = sum(row["p"] < 0.05 / 7 for row in found)
    assert corrected_for_seven / len(found) < 0.01


@pytest.mark.parametrize(("values", "message"), [([], "at least one number"), ([0.1, float("nan")], "must be finite")])
def test_wrong_values(values, message):
    with pytest.raises(UserError, match=message):
        mean_interval(values)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])  # 0.03 x 2 also holds 0.04 up
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    assert holm([]) == []
    assert holm([0.02], tests=3) == pytest.approx([0.06])


probabilities = st.lists(st.floats(0, 1), min_size=1, max_size=8)


@given(probabilities)
def test_holm_lies_between_the_p_values_and_bonferroni(p_values):
    adjusted = holm(p_values)
    assert all(p <= value <= min(1, len(p_values) * p) for p, value in zip(p_values, adjusted, strict=True))
    assert holm(p_values, tests=len(p_values) + 2) >= adjusted
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    assert [adjusted[place] for place in order] == sorted(adjusted)
    rejected, m = 0, len(p_values)  # the procedure as Holm wrote it: stop at the first that is not small enough
    for place in order:
        if p_values[place] * (m - rejected) >= 0.05:
            break
        rejected += 1
    assert sum(value < 0.05 for value in adjusted) == rejected


@pytest.mark.parametrize(
    ("p_values", "tests", "message"),
    [([0.1, 0.2], 1, "`tests` must be at least the 2 p values, got 1"), ([1.2], None, r"in \[0, 1\], got 1.2")],
)
def test_wrong_p_values(p_values, tests, message):
    with pytest.raises(UserError, match=message):
        holm(p_values, tests=tests)


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=8), st.integers(1, 5))
def test_seeds_needed_are_the_first_that_would_exclude_zero(values, tests):
    needed, mean, deviation = seeds_needed(values, tests=tests), np.mean(values), np.std(values, ddof=1)
    if deviation < 1e-3 or abs(mean) < 1e-3:
        return
    significant = [
        2 * stats.t.sf(abs(mean) * n**0.5 / deviation, n - 1) * tests < 0.05 for n in range(len(values) + 1, 400)
    ]
    if needed is not None and needed < 400:
        assert significant.index(True) == needed - len(values) - 1
    else:
        assert not any(significant)


def test_no_number_of_seeds_makes_a_difference_of_nothing():
    assert seeds_needed([0.01, -0.01]) is None
    assert seeds_needed([0.0, 0.0]) is None
    assert seeds_needed([0.01]) is None
    assert seeds_needed([1e-6, 1.0, -1.0]) is None, "more than 10,000"
