"""Greedy choice by features: each image is the one that best complements those chosen before it."""

import torch
from torch import Tensor


def k_centre(features: Tensor, n: int) -> Tensor:
    """Row 0 first, then always the row farthest from all chosen rows; of equally distant ones the first.

    The largest distance of any row to its nearest chosen row is at most twice that of the best choice of `n` rows
    (Gonzalez 1985). Source:
    Sener and Savarese, "Active learning for convolutional neural networks: a core-set approach", ICLR 2018,
    https://arxiv.org/abs/1708.00489. Takes O(N D) per row chosen.

    Args:
        features: float `[N, D]`.
        n: 1..N.

    Returns:
        int64 `[n]`, in the order of choice: the rows for a smaller `n` are the first of those for a larger one.

    Example:
        >>> k_centre(torch.tensor([[0.0], [1.0], [5.0], [9.0]]), 3)
        tensor([0, 3, 2])
    """
    squares = features.square().sum(1)
    distances = torch.full((len(features),), torch.inf)
    chosen = torch.zeros(n, dtype=torch.int64)
    for place in range(n):
        row = 0 if place == 0 else int(distances.argmax())
        chosen[place] = row
        away = torch.addmv(squares, features, features[row], alpha=-2).add_(squares[row]).clamp_(min=0)
        torch.minimum(distances, away, out=distances)
        distances[chosen[: place + 1]] = -torch.inf  # never chosen again, even if all the others lie at distance 0
    return chosen


def herding(features: Tensor, n: int) -> Tensor:
    """Always the row that brings the mean of the chosen closest to the mean of all; of equally good ones the first.

    Features are normalised to length 1 first. Source: Welling, "Herding dynamical weights to learn", ICML 2009, in the
    form of Rebuffi et al., "iCaRL", CVPR 2017, https://arxiv.org/abs/1611.07725.

    Args:
        features: float `[N, D]`.
        n: 1..N.

    Returns:
        int64 `[n]`, in the order in which they are chosen.

    Example:
        >>> herding(torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]]), 1)
        tensor([1])
    """
    unit = torch.nn.functional.normalize(features, dim=1)
    squares, to_mean = unit.square().sum(1), unit @ unit.mean(0)
    to_sum = torch.zeros(len(unit))
    used = torch.zeros(len(unit))
    chosen = torch.zeros(n, dtype=torch.int64)
    for place in range(n):
        # ||mean - (x + sum) / t||^2, times t^2, without the terms that are the same for all x.
        row = int((squares + 2 * to_sum - 2 * (place + 1) * to_mean + used).argmin())
        chosen[place] = row
        used[row] = torch.inf
        to_sum += unit @ unit[row]
    return chosen
