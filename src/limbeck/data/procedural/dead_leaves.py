"""Dead leaves: shapes of all sizes that occlude one another, with edges and statistics like those of real images."""

import numpy as np
import torch
from torch import Tensor

from limbeck.data.procedural.draws import cosine, shares, sine, softened, to_pixels
from limbeck.data.procedural.noise import gaussian_fields

_NUMBERS = 12
_ROUND = 0.886
"""Half the side of the square with the area of a disc of radius 1."""


def dead_leaves(
    seed: int,
    indices: Tensor,
    shape: tuple[int, int, int],
    *,
    leaves: int = 128,
    radius: tuple[float, float] = (0.04, 0.8),
    angular: float = 0.5,
    saturation: float = 1.0,
    texture: float = 0.3,
) -> Tensor:
    """Leaves at random places, with radius r of density proportional to r^-3, so that no scale is preferred.

    Args:
        seed: any integer.
        indices: int64 [B], which images.
        shape: (C, H, W), C 1 or 3.
        leaves: how many fall; the first covers everything.
        radius: smallest and largest, as shares of the image's shorter side.
        angular: share of parallelograms; the rest are ellipses.
        saturation: largest share by which channels of a leaf's colour are independent, drawn for every image.
        texture: largest contrast of the grain on a leaf, as a share of the whole range; drawn for every leaf.

    Returns:
        uint8 [B, C, H, W].

    Source: A. B. Lee, D. Mumford and J. Huang, "Occlusion models for natural images", IJCV 41, 2001; M. Baradad et al.,
    "Learning to see by looking at noise", NeurIPS 2021, https://arxiv.org/abs/2106.05963.

    Example:
        >>> dead_leaves(0, torch.tensor([5, 3]), (3, 32, 32)).shape
        torch.Size([2, 3, 32, 32])
    """
    channels, height, width = shape
    numbers = shares(seed, "dead leaves", indices, leaves, _NUMBERS)
    top = _topmost(numbers, (height, width), radius, angular)  # [B, H + 1, W + 1] rows of the tables below
    own = saturation * shares(seed, "dead leaves: look", indices, 1)[:, :, None]
    light, tints = numbers[..., 8:9], numbers[..., 9 : 9 + channels]
    colours = to_pixels(255.0 * (light + own * (tints - light) if channels > 1 else light)).reshape(-1, channels)
    pixels = softened(colours[top].transpose(0, 3, 1, 2))  # [B, C, H, W]
    if texture > 0:
        grain = gaussian_fields(seed, "dead leaves: grain", indices, (1, *shape[1:]), (1.0, 2.0))
        contrast = to_pixels(127.5 * texture * numbers[..., 7]).reshape(-1)
        pixels = pixels + softened(contrast[top][:, None]) * grain.astype(np.float32)
    return torch.from_numpy(to_pixels(pixels))


def _topmost(numbers: np.ndarray, size: tuple[int, int], radius: tuple[float, float], angular: float) -> np.ndarray:
    """Which leaf is seen at each corner of a pixel, int64 [B, H + 1, W + 1]: image * leaves + leaf.

    Leaves are painted as spans of rows, which is a few writes for each pixel however many leaves there are.
    """
    batch, leaves, _ = numbers.shape
    height, width = size[0] + 1, size[1] + 1
    leaf, row, left, right = _rows(numbers.reshape(-1, _NUMBERS), size, radius, angular)
    first = np.clip(np.ceil(left), 0, width).astype(np.int64)
    lengths = np.maximum(np.clip(np.ceil(right), 0, width).astype(np.int64) - first, 0)
    starts = (leaf // leaves * height + row) * width + first
    starts -= np.cumsum(lengths) - lengths
    seen = np.repeat(np.arange(batch) * leaves, height * width)
    # Where several leaves write to a pixel, NumPy keeps the last, which is the topmost leaf.
    seen[np.arange(lengths.sum()) + np.repeat(starts, lengths)] = np.repeat(leaf, lengths)
    return seen.reshape(batch, height, width)


def _rows(
    numbers: np.ndarray, size: tuple[int, int], radius: tuple[float, float], angular: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(leaf, row, left, right) of every row of corners that a leaf may cover, [R] each; in pixels, leaves in order.

    A leaf is the image of a disc or a square under a matrix. In a row dy from its centre an ellipse is an interval, and
    a parallelogram is what two intervals have in common; both move in proportion to dy.
    """
    height, width = size
    x, y, area, stretch, turn, skew, kind = (numbers[:, column] for column in range(7))
    small, large = radius
    r = min(size) / np.sqrt(area / large**2 + (1 - area) / small**2)
    x, y = x * width, y * height
    long, short = r * (1 + 0.6 * stretch), r / (1 + 0.6 * stretch)
    reach = 1.03 * (long + short)  # beyond the farthest corner
    top = np.clip(np.ceil(y - reach), 0, height + 1).astype(np.int64)
    counts = np.clip(np.ceil(y + reach), 0, height + 1).astype(np.int64) - top
    leaf = np.repeat(np.arange(len(numbers)), counts)
    row = np.arange(len(leaf)) - np.repeat(np.cumsum(counts) - counts - top, counts)
    dy = row.astype(np.float32) - y[leaf]

    c, s = cosine(turn), sine(turn)
    xx, xy = (c / long) ** 2 + (s / short) ** 2, c * s * (1 / long**2 - 1 / short**2)
    slope, most, bend = -xy / xx, 1 / xx, 1 / (xx * xx * (long * short) ** 2)
    half = np.sqrt(np.maximum(most[leaf] - bend[leaf] * dy * dy, 0.0))
    middle = slope[leaf] * dy
    left, right = middle - half, middle + half

    straight = np.flatnonzero((kind < angular)[leaf])
    which, dy = leaf[straight], dy[straight]
    first = _slab(c, s, _ROUND * long)
    other = turn + 0.25 + (skew - 0.5) / 6
    second = _slab(cosine(other), sine(other), _ROUND * short)
    edges = [(shift[which] * dy, span[which]) for shift, span in (first, second)]
    left[straight] = np.maximum(*(middle - half for middle, half in edges))
    right[straight] = np.minimum(*(middle + half for middle, half in edges))
    return leaf, row, left + x[leaf], right + x[leaf]


def _slab(across: np.ndarray, along: np.ndarray, half: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For the points with |across x + along y| <= half: the slope of x in y, and half the width of its interval."""
    across = np.where(np.abs(across) < 1e-4, np.float32(1e-4), across)
    return -along / across, half / np.abs(across)
