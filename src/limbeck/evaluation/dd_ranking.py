"""Scores of synthetic sets that do not reward soft labels or augmentation alone.

Source: Li, Wang et al., "DD-Ranking: rethinking the evaluation of dataset distillation", arXiv 2505.13300 (2025).
"""

import math
from dataclasses import dataclass

from limbeck.errors import UserError


@dataclass(frozen=True)
class LabelRobustScore:
    """What a set is worth apart from its labels; both parts are differences of accuracies, as fractions.

    Attributes:
        score: 0 to 1; 0.269 where both parts are 0.
        hard_label_recovery: full data minus the set, both with hard labels; lower is better.
        improvement_over_random: the set minus random real images, both used in the set's own way; higher is better.
    """

    score: float
    hard_label_recovery: float
    improvement_over_random: float


@dataclass(frozen=True)
class AugmentationRobustScore:
    """What a set is worth apart from its augmentation; both parts are differences of accuracies.

    Attributes:
        score: 0 to 1; 0.269 where both parts are 0.
        with_augmentation: the set minus random real images, both augmented; higher is better.
        without_augmentation: the same without.
    """

    score: float
    with_augmentation: float
    without_augmentation: float


def label_robust_score(
    *, full_hard: float, synthetic_hard: float, synthetic: float, random: float, weight: float = 0.5
) -> LabelRobustScore:
    """(e^a - e^-1) / (e - e^-1) with a = w IOR - (1 - w) HLR.

    The authors' package puts percents into this formula, so that its scores run to many thousands and cannot be
    compared with these.

    Args:
        full_hard: accuracy after all the real data, hard labels, 0 to 1.
        synthetic_hard: after the set with hard labels.
        synthetic: after the set as it is to be used.
        random: after as many random real images, used in the same way.
        weight: w of IOR, the improvement over random; 1 - w is that of HLR, the hard label recovery.

    Raises:
        UserError: an accuracy or a weight that is no fraction.

    Example:
        >>> found = label_robust_score(full_hard=0.8, synthetic_hard=0.6, synthetic=0.7, random=0.4)
        >>> round(found.score, 3), round(found.hard_label_recovery, 3), round(found.improvement_over_random, 3)
        (0.291, 0.2, 0.3)
    """
    _check(full_hard=full_hard, synthetic_hard=synthetic_hard, synthetic=synthetic, random=random, weight=weight)
    recovery, improvement = full_hard - synthetic_hard, synthetic - random
    return LabelRobustScore(_score(weight * improvement - (1 - weight) * recovery), recovery, improvement)


def augmentation_robust_score(
    *, synthetic: float, random: float, synthetic_plain: float, random_plain: float, weight: float = 0.5
) -> AugmentationRobustScore:
    """(e^b - e^-1) / (e - e^-1) with b = g (synthetic - random) + (1 - g) (the same without augmentation).

    Args:
        synthetic: accuracy after the set with augmentation, 0 to 1.
        random: after as many random real images with it.
        synthetic_plain, random_plain: both without.
        weight: g of the difference with augmentation.

    Raises:
        UserError: an accuracy or a weight that is no fraction.

    Example:
        >>> found = augmentation_robust_score(synthetic=0.6, random=0.6, synthetic_plain=0.5, random_plain=0.5)
        >>> round(found.score, 3)
        0.269
    """
    _check(
        synthetic=synthetic,
        random=random,
        synthetic_plain=synthetic_plain,
        random_plain=random_plain,
        weight=weight,
    )
    augmented, plain = synthetic - random, synthetic_plain - random_plain
    return AugmentationRobustScore(_score(weight * augmented + (1 - weight) * plain), augmented, plain)


def _score(value: float) -> float:
    """0 for -1, 1 for 1."""
    return (math.exp(value) - math.exp(-1)) / (math.e - math.exp(-1))


def _check(**fractions: float) -> None:
    for name, value in fractions.items():
        if not 0 <= value <= 1:
            raise UserError(f"`{name}` must be a fraction, 0 to 1, got {value:g}; divide percents by 100.")
