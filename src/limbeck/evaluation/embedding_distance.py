"""How far apart two sets of images are, as a network sees them: the energy distance of their embeddings."""

from typing import NamedTuple

import torch
from torch import Tensor

from limbeck.errors import UserError

SPLITS = 20


def energy_coefficient(first: Tensor, second: Tensor) -> float:
    """Energy distance as a share of its largest value: 0 for samples of one distribution, 1 for two distant points.

        H = (2 E|X - Y| - E|X - X'| - E|Y - Y'|) / (2 E|X - Y|)

    Unlike the maximum mean discrepancy it has no kernel width to set, and it also works for few images in many
    dimensions. Means over pairs of one sample leave out an image with itself, so that H is 0 on average between two
    samples of one distribution, whatever their sizes, and may be slightly negative.

    Source: G. Székely and M. Rizzo, "Energy statistics: a class of statistics based on distances", Journal of
    Statistical Planning and Inference 2013; it is the maximum mean discrepancy of the kernel -|x - y| (D. Sejdinovic et
    al., "Equivalence of distance-based and RKHS-based statistics in hypothesis testing", Annals of Statistics 2013).

    Args:
        first: embeddings `[n, D]`, n >= 2.
        second: embeddings `[m, D]`, m >= 2.

    Raises:
        UserError: fewer than two embeddings of either set, or their numbers of dimensions differ.

    Example:
        >>> energy_coefficient(torch.tensor([[0.0], [2.0]]), torch.tensor([[10.0], [12.0]]))
        0.8
    """
    if min(len(first), len(second)) < 2 or first.shape[1:] != second.shape[1:]:
        raise UserError(
            "embeddings must be two or more of each set, of as many dimensions, got "
            f"{list(first.shape)} and {list(second.shape)}."
        )
    first, second = first.double(), second.double()
    between = float(torch.cdist(first, second).mean())
    within = _within(torch.cdist(first, first)) + _within(torch.cdist(second, second))
    return _coefficient(between, within)


class Halves(NamedTuple):
    """The distances between random halves of one set: what chance alone gives."""

    mean: float
    highest: float


def distance_of_halves(embeddings: Tensor, *, splits: int = SPLITS, seed: int = 0) -> Halves:
    """`energy_coefficient` between random halves of one set, over several splits.

    Args:
        embeddings: `[n, D]`, n >= 4.
        splits: how many times the set is halved.
        seed: of the random halves.

    Raises:
        UserError: fewer than four embeddings.

    Example:
        >>> distance_of_halves(torch.arange(8.0)[:, None]).mean < 0.2
        True
    """
    if len(embeddings) < 4:
        raise UserError(f"embeddings must be four or more to be halved, got {len(embeddings)}.")
    generator = torch.Generator().manual_seed(seed)
    distances = torch.cdist(embeddings.double(), embeddings.double())
    coefficients = []
    for _ in range(splits):
        order = torch.randperm(len(embeddings), generator=generator)
        first, second = order.chunk(2)
        between = float(distances[first][:, second].mean())
        within = _within(distances[first][:, first]) + _within(distances[second][:, second])
        coefficients.append(_coefficient(between, within))
    return Halves(sum(coefficients) / splits, max(coefficients))


def _coefficient(between: float, within: float) -> float:
    """From the mean distance between two sets, and the sum of the mean distances within each."""
    return (2 * between - within) / (2 * between) if between else 0.0


def _within(distances: Tensor) -> float:
    """Mean distance between two different images of one set, from all its distances `[n, n]`."""
    count = len(distances)
    return float(distances.sum() / (count * (count - 1)))
