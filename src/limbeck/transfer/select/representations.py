"""What a score sees of an image: functions from pixels, uint8 `[B, C, H, W]`, to features, float32 `[B, D]`."""

from collections.abc import Callable

import torch
from torch import Tensor

LEVELS = 256

# ITU-R BT.601 luma in 15-bit fixed point, as OpenCV (4.x) converts uint8 RGB; the weights sum to 2**15.
_RED, _GREEN, _BLUE, _SHIFT = 9798, 19235, 3735, 15


def to_gray(images: Tensor) -> Tensor:
    """The gray image, int32 `[B, H, W]` in 0..255: (9798 R + 19235 G + 3735 B + 2^14) >> 15; one channel stays.

    Args:
        images: uint8 `[B, C, H, W]`, C = 3 (RGB) or 1.
    """
    if images.shape[1] == 1:
        return images[:, 0].to(torch.int32)
    red, green, blue = images[:, 0], images[:, 1], images[:, 2]
    gray = red.to(torch.int32).mul_(_RED)
    # Converting first is twice as fast as torch's mixed-type arithmetic; in place, a batch stays in the cache.
    gray.add_(green.to(torch.int32), alpha=_GREEN).add_(blue.to(torch.int32), alpha=_BLUE)
    return gray.add_(1 << (_SHIFT - 1)).bitwise_right_shift_(_SHIFT)


def grayscale_histogram(images: Tensor) -> Tensor:
    """Share of the pixels at each of the 256 levels of the gray image.

    Args:
        images: uint8 `[B, C, H, W]`, C = 3 (RGB) or 1.

    Returns:
        float32 `[B, 256]`, every row sums to 1.
    """
    levels = to_gray(images).flatten(1)
    # One bincount for the whole batch: every image counts in 256 bins of its own.
    levels = levels + torch.arange(len(images), dtype=torch.int32)[:, None] * LEVELS
    counts = torch.bincount(levels.view(-1), minlength=len(images) * LEVELS).view(-1, LEVELS)
    return counts.float() / levels.shape[1]


REPRESENTATIONS: dict[str, Callable[[Tensor], Tensor] | None] = {
    "none": None,
    "grayscale-histogram": grayscale_histogram,
}
"""None: no pixels are read."""
