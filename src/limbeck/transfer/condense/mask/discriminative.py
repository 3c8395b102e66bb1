"""How much faster pixels are learned where a network sees the class."""

from typing import Literal

import torch
from torch import Tensor

from limbeck.errors import UserError


def discriminative_mask(maps: Tensor, threshold: float | Literal["mean"] = "mean", beta: float = 1.0) -> Tensor:
    """Factors of the pixels' gradients: `map + beta` where a map reaches the threshold, 1 elsewhere.

    Args:
        maps: float `[N, H, W]` in [0, 1].
        threshold: "mean" of each map, or a number in [0, 1] for all.
        beta: >= 0.

    Returns:
        float `[N, H, W]`.

    Raises:
        UserError: maps that are not `[N, H, W]` in [0, 1], another threshold or beta.

    Example:
        >>> discriminative_mask(torch.tensor([[[0.0, 0.25], [0.75, 1.0]]]))
        tensor([[[1.0000, 1.0000],
                 [1.7500, 2.0000]]])

    Source: Wang et al., "Emphasizing discriminative features for dataset distillation in complex scenarios", CVPR 2025,
    discriminative area enhancement.
    """
    check_maps(maps)
    if threshold != "mean" and not (isinstance(threshold, int | float) and 0 <= threshold <= 1):
        raise UserError(f"`threshold` must be 'mean' or a number from 0 to 1, got {threshold!r}.")
    if not 0 <= beta < float("inf"):
        raise UserError(f"`beta` must be a finite number >= 0, got {beta!r}.")
    reached = maps.mean(dim=(1, 2), keepdim=True) if threshold == "mean" else threshold
    return torch.where(maps >= reached, maps + beta, 1.0)


def check_maps(maps: Tensor) -> None:
    """Raises a UserError unless `maps` are activation maps."""
    if maps.ndim != 3 or not maps.numel() or not maps.is_floating_point():
        raise UserError(f"`maps` must be floating [N, H, W], got {maps.dtype} {list(maps.shape)}.")
    if not bool(((maps >= 0) & (maps <= 1)).all()):  # NaN is neither
        raise UserError(f"`maps` must lie in [0, 1], got {float(maps.min())} to {float(maps.max())}.")
