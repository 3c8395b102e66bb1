"""Which classes a network takes for related: correlations of its logits over images, and how two networks differ.

Softmax does not change when a constant is added to all logits of an image, so each image's logits are centred first.
Source of the comparison: Tian, Krishnan and Isola, "Contrastive representation distillation", ICLR 2020, which shows
the difference of both networks' correlation matrices.
"""

import torch
from torch import Tensor

MOST_ORDERED = 256
"""Up to this many classes, leaves are also ordered to put the most alike side by side, which takes cubic time."""


def logit_correlation(logits: Tensor) -> Tensor:
    """Pearson's correlation of the logits of every two classes over the images.

    Args:
        logits: `[N, K]`, N >= 2.

    Returns:
        float64 `[K, K]`, symmetric, 1 on the diagonal; 0 off it for a class whose centred logit never changes.
    """
    standard = _standardised(logits)
    correlation = (standard.T @ standard).clamp(-1, 1)
    return correlation.fill_diagonal_(1)


def class_correlation(student: Tensor, teacher: Tensor) -> Tensor:
    """Pearson's correlation over the images of each class's logit between two networks, float64 `[K]`.

    Args:
        student, teacher: logits `[N, K]` of the same images.
    """
    return (_standardised(student) * _standardised(teacher)).sum(0).clamp(-1, 1)


def mean_absolute_difference(one: Tensor, other: Tensor) -> float:
    """Mean of |one - other| over the pairs of different classes, 0..2; both `[K, K]`, K >= 2."""
    count = len(one)
    difference = (one - other).abs()
    return ((difference.sum() - difference.diagonal().sum()) / (count * (count - 1))).item()


def similar_order(correlation: Tensor) -> list[int]:
    """The K classes in an order that puts correlated ones side by side: leaves of average-linkage clustering."""
    if len(correlation) < 3:
        return list(range(len(correlation)))
    from scipy.cluster.hierarchy import leaves_list, linkage  # takes half a second to import, and few need it
    from scipy.spatial.distance import squareform

    distance = (1 - (correlation + correlation.T).double() / 2).clamp(min=0).fill_diagonal_(0)
    tree = linkage(
        squareform(distance.numpy(), checks=False), "average", optimal_ordering=len(correlation) <= MOST_ORDERED
    )
    return leaves_list(tree).tolist()


def _standardised(logits: Tensor) -> Tensor:
    """Logits centred image by image, then scaled to columns of mean 0 and length 1; a constant column becomes zeros."""
    logits = logits.double()
    scale = logits.abs().amax().clamp(min=1e-300)
    logits = logits / scale
    centred = logits - logits.mean(1, keepdim=True)
    centred = centred - centred.mean(0)
    length = centred.norm(dim=0)
    return torch.where(length > 1e-12, centred / length.clamp(min=1e-300), 0.0)
