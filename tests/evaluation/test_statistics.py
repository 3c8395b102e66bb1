import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from scipy import stats

from limbeck.errors import UserError
from limbeck.evaluation import mean_interval, paired_difference, standard_deviation

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
    if abs(p - 0.05) > 1e-6:
        result = paired_difference(dict(enumerate(a[:n])), dict(enumerate(b[:n])))
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
        "beyond_noise": False,
    }


def test_equal_values_differ_by_exactly_nothing():
    same = {0: 0.5, 1: 0.7}
    assert paired_difference(same, same) == {"n": 2, "mean": 0.0, "low": 0.0, "high": 0.0, "beyond_noise": False}


@pytest.mark.parametrize(("values", "message"), [([], "at least one number"), ([0.1, float("nan")], "must be finite")])
def test_wrong_values(values, message):
    with pytest.raises(UserError, match=message):
        mean_interval(values)
