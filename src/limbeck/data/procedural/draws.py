"""Random numbers of an image, and arithmetic that gives the same bits on every processor.

Pixels are reproducible because they are made by integers, tables, and those float operations whose rounding IEEE 754
defines: +, -, *, /, the square root, comparisons. Sums of many floats, matrix products, `exp` or `sin` depend on the
processor; they are used only on whole numbers that floats hold exactly, or not at all.
"""

import numpy as np
import torch
from torch import Tensor

from limbeck.randomness import derive_seed, words


def drawn(seed: int, purpose: str, indices: Tensor, count: int) -> np.ndarray:
    """`count` random 16-bit numbers of every image, uint16 [B, count].

    Args:
        seed: any integer.
        purpose: what they are for; another purpose gives other numbers.
        indices: int64 [B].
        count: numbers of an image.
    """
    blocks = torch.arange(-(-count // 4), device="cpu")
    bits = words(derive_seed(seed, purpose), blocks, indices[:, None])  # [B, blocks]
    return bits.numpy().astype("<i8", copy=False).view("<u2")[:, :count]


def shares(seed: int, purpose: str, indices: Tensor, *counts: int) -> np.ndarray:
    """Random float32 [B, *counts] in [0, 1), multiples of 2^-16; see `drawn`."""
    numbers = drawn(seed, purpose, indices, int(np.prod(counts)))
    return (numbers.astype(np.float32) * np.float32(2.0**-16)).reshape(len(indices), *counts)


def sine(turns: np.ndarray) -> np.ndarray:
    """sin(2 pi `turns`) to about 0.001, by a parabola and the square of it; float32 or float64, of any shape.

    Example:
        >>> sine(np.array([0.0, 0.25, 0.75])).tolist()
        [0.0, 1.0, -1.0]
    """
    within = turns - np.floor(turns + 0.5)  # [-0.5, 0.5]
    arch = within * (8.0 - 16.0 * np.abs(within))
    return arch * (0.775 + 0.225 * np.abs(arch))


def cosine(turns: np.ndarray) -> np.ndarray:
    """cos(2 pi `turns`), see `sine`."""
    return sine(turns + 0.25)


def to_pixels(values: np.ndarray) -> np.ndarray:
    """uint8 of float `values` in 0..255, rounded; values outside are clipped."""
    return np.clip(values + 0.5, 0.0, 255.0).astype(np.uint8)


def softened(corners: np.ndarray) -> np.ndarray:
    """Each pixel as the mean of its four corners, so that edges are soft: [B, C, H + 1, W + 1] to float32 [B, C, H, W].

    Args:
        corners: uint8 or float32; neighbours in a row are added first, then rows.
    """
    wide = corners.astype(np.float32, copy=False)
    across = wide[..., 1:] + wide[..., :-1]
    return (across[..., 1:, :] + across[..., :-1, :]) * 0.25
