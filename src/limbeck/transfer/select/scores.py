"""How much an image is worth: functions from features, float `[B, D]`, to one number per image, float64 `[B]`."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from limbeck.randomness import derive_seed, words


class About(NamedTuple):
    """What a score may know of the images besides their features: ids and labels int64 `[B]`, and the seed."""

    ids: Tensor
    labels: Tensor | None
    seed: int


def entropy(features: Tensor, about: About | None = None) -> Tensor:
    """Shannon entropy -sum_d p_d ln p_d in nats, 0 for a single level up to ln D.

    The published code adds 1e-7 inside the logarithm, which changes a value by less than 1e-5 of itself.

    Args:
        features: distributions `[B, D]`, >= 0, every row sums to 1.
        about: not used.

    Example:
        >>> entropy(torch.tensor([[0.5, 0.5, 0.0]]))
        tensor([0.6931], dtype=torch.float64)
    """
    return torch.special.entr(features.double()).sum(1)


def random(features: Tensor, about: About) -> Tensor:
    """Uniform in [0, 1) with 53 bits, from the seed and the id alone, so that no order of images changes it.

    Those who have the highest n of these are a sample without replacement; 53 bits make ties, which go by id, all but
    impossible (a hundred million images have one with a chance of a half).
    """
    bits = words(derive_seed(about.seed, "select", "random"), 0, about.ids)
    return ((bits >> 11) & (2**53 - 1)).double() * 2.0**-53


SCORES: dict[str, Callable[[Tensor, About], Tensor]] = {
    "random": random,
    "entropy": entropy,
}
