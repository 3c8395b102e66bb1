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
    result = paired_difference({0: 0.9, 1: 0.9, 7: 0.1}, {1: 0.8, 0: 0.8, 5: 1.0})
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


def test_differences_that_are_all_the_same_are_beyond_noise():
    result = paired_difference({0: 0.75, 1: 0.5}, {0: 0.5, 1: 0.25})
    assert (result["p"], result["beyond_noise"]) == (0.0, True)


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
