"""Representations of images for scores: functions from pixels, uint8 `[B, C, H, W]`, to numbers `[B, D]`.

The numbers of an image do not depend on the others in its batch, so ties are the same in any order.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

LEVELS = 256
PATCH = 8
_ROWS = 512
"""Patches at a time, so that their 1 MiB of counts stays in the cache."""

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


def level_counts(levels: Tensor) -> Tensor:
    """How often each of 256 levels occurs in every row, int64 `[R, 256]`; `levels` int32 `[R, P]` in 0..255."""
    # One bincount for all rows: every row counts in 256 bins of its own.
    bins = levels + torch.arange(len(levels), dtype=torch.int32)[:, None] * LEVELS
    return torch.bincount(bins.view(-1), minlength=len(levels) * LEVELS).view(-1, LEVELS)


def grayscale_histogram(images: Tensor) -> Tensor:
    """Share of the pixels at each of the 256 levels of the gray image.

    Args:
        images: uint8 `[B, C, H, W]`, C = 3 (RGB) or 1.

    Returns:
        float32 `[B, 256]`, every row sums to 1.
    """
    levels = to_gray(images).flatten(1)
    return level_counts(levels).float().div_(levels.shape[1])


def rgb_histogram(images: Tensor) -> Tensor:
    """Share of all values at each of the 256 levels of each channel, concatenated.

    Args:
        images: uint8 `[B, C, H, W]`, C = 3 (RGB) or 1.

    Returns:
        float32 `[B, 256 C]`, every row sums to 1.
    """
    channels, pixels = images.shape[1], images.shape[2] * images.shape[3]
    counts = level_counts(images.reshape(-1, pixels).to(torch.int32))
    return counts.view(len(images), -1).float().div_(channels * pixels)


def average_adjusted_histogram(images: Tensor, average: Tensor) -> Tensor:
    """|h - a| with histogram h and the set's average a, both after the scaling that brings h to 0..1.

    A constant histogram cannot be scaled; it is only shifted to 0.

    Args:
        images: uint8 `[B, C, H, W]`, C = 3 (RGB) or 1.
        average: float64 `[256]`, mean over the set of the number of pixels at each gray level.

    Returns:
        float32 `[B, 256]`, >= 0; rows do not sum to 1.
    """
    counts = level_counts(to_gray(images).flatten(1)).double()
    lowest, highest = counts.aminmax(dim=1, keepdim=True)
    span = highest - lowest
    # h - a after the scaling is (counts - average) / span: the shift cancels.
    return ((counts - average) / span.masked_fill_(span == 0, 1)).abs_().float()


def patch_entropies(images: Tensor) -> Tensor:
    """Entropy in bits of the gray levels in every patch of 8x8 pixels; patches at the edges may be smaller.

    -sum_l p_l log2 p_l = log2 P - (1/P) sum_i log2 c(i), over the P pixels i of a patch, where c(i) is the number of
    pixels with the level of i; so no sum over 256 levels is needed.

    Args:
        images: uint8 `[B, C, H, W]`, C = 3 (RGB) or 1.

    Returns:
        float32 `[B, ceil(H / 8) ceil(W / 8)]`, row by row, each 0..6.
    """
    gray = to_gray(images)
    _, height, width = gray.shape
    if height % PATCH or width % PATCH:
        return _patch_entropies_with_edges(gray)
    tiles = gray.unflatten(2, (-1, PATCH)).unflatten(1, (-1, PATCH)).transpose(2, 3)
    return _row_entropies(tiles.reshape(-1, PATCH * PATCH)).view(len(images), -1)


def _patch_entropies_with_edges(gray: Tensor) -> Tensor:
    _, height, width = gray.shape
    rows = [
        torch.stack(
            [
                _row_entropies(gray[:, top : top + PATCH, left : left + PATCH].reshape(len(gray), -1))
                for left in range(0, width, PATCH)
            ],
            1,
        )
        for top in range(0, height, PATCH)
    ]
    return torch.cat(rows, 1)


def _row_entropies(levels: Tensor) -> Tensor:
    """Entropy in bits of each row of `levels`, int32 `[R, P]`, as float32 `[R]`."""
    pixels = levels.shape[1]
    logarithms = torch.arange(pixels + 1, dtype=torch.float64).clamp_(min=1).log2_()
    own = torch.arange(_ROWS)[:, None] * LEVELS
    shared = []
    for rows in levels.split(_ROWS):
        bins = (rows + own[: len(rows)]).view(-1)
        counts = torch.bincount(bins, minlength=len(rows) * LEVELS)
        # Twice as fast as `logarithms[counts[bins]]`.
        shared.append(logarithms.index_select(0, counts.index_select(0, bins)).view(-1, pixels).sum(1))
    return (logarithms[-1] - torch.cat(shared) / pixels).clamp_(min=0).float()


def grayscale(images: Tensor) -> Tensor:
    """The gray levels themselves, int32 `[B, H W]` in 0..255."""
    return to_gray(images).flatten(1)


def pixels(images: Tensor) -> Tensor:
    """The values themselves in [0, 1], float32 `[B, C H W]`."""
    return images.flatten(1).float().div_(255)


def padded_to(images: Tensor, multiple: int) -> Tensor:
    """Images `[B, C, H, W]`, padded right and bottom to multiples of `multiple` by repeating the edge."""
    down, right = -images.shape[2] % multiple, -images.shape[3] % multiple
    return F.pad(images, (0, right, 0, down), mode="replicate") if down or right else images
