"""Scores of DD-Ranking, against figures worked out by hand and a form of the formula of its own."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.errors import UserError
from limbeck.evaluation.dd_ranking import augmentation_robust_score, label_robust_score

FRACTIONS = st.floats(0, 1)


def independent(value: float) -> float:
    """The same by hyperbolic functions: (e^a - e^-1) / (e - e^-1) = (e^(a + 1) - 1) / (e^2 - 1)."""
    return math.expm1(value + 1) / math.expm1(2)


def test_neutral_is_what_the_paper_has() -> None:
    equal = dict.fromkeys(("full_hard", "synthetic_hard", "synthetic", "random"), 0.4)
    assert label_robust_score(**equal).score == pytest.approx(0.2689, abs=1e-4)


def test_the_example_worked_by_hand() -> None:
    result = label_robust_score(full_hard=0.8, synthetic_hard=0.6, synthetic=0.7, random=0.4)
    assert result.score == pytest.approx((1.0512711 - 0.3678794) / (2.7182818 - 0.3678794), abs=1e-6)
    assert (result.hard_label_recovery, result.improvement_over_random) == pytest.approx((0.2, 0.3))
    # Percents in place of fractions, as the package has them: 62.99.
    assert independent(0.5 * 30 - 0.5 * 20) == pytest.approx(62.99, abs=0.01)


@given(FRACTIONS, FRACTIONS, FRACTIONS, FRACTIONS, FRACTIONS)
def test_label_robust_score(full: float, hard: float, own: float, random: float, weight: float) -> None:
    result = label_robust_score(full_hard=full, synthetic_hard=hard, synthetic=own, random=random, weight=weight)
    assert result.score == pytest.approx(independent(weight * (own - random) - (1 - weight) * (full - hard)))
    assert -1e-12 <= result.score <= 1 + 1e-12
    better = label_robust_score(full_hard=full, synthetic_hard=hard, synthetic=1, random=random, weight=weight)
    assert better.score >= result.score - 1e-12


@given(FRACTIONS, FRACTIONS, FRACTIONS, FRACTIONS, FRACTIONS)
def test_augmentation_robust_score(own: float, random: float, plain: float, other: float, weight: float) -> None:
    result = augmentation_robust_score(
        synthetic=own, random=random, synthetic_plain=plain, random_plain=other, weight=weight
    )
    assert result.score == pytest.approx(independent(weight * (own - random) + (1 - weight) * (plain - other)))
    assert (result.with_augmentation, result.without_augmentation) == (own - random, plain - other)


@pytest.mark.parametrize("value", [46.9, -0.1, math.nan])
def test_percents_are_refused(value: float) -> None:
    with pytest.raises(UserError, match=r"`random` must be a fraction, 0 to 1, got .*; divide percents by 100"):
        label_robust_score(full_hard=0.8, synthetic_hard=0.6, synthetic=0.7, random=value)
    with pytest.raises(UserError, match=r"`weight` must be a fraction"):
        augmentation_robust_score(synthetic=0, random=0, synthetic_plain=0, random_plain=0, weight=value)
