"""Coloured noise whose spectrum falls as a power of the frequency, as that of natural images does."""

import math
from functools import cache

import numpy as np
import torch
from torch import Tensor

from limbeck.data.procedural.draws import drawn, shares, to_pixels

_STEP = 0.25
"""Exponents are multiples of this, so that powers are made of square roots alone."""

_STEEPEST = 6.0
_AMPLITUDE_BITS = 10
_WAVE_BITS = 8
_LEVELS = 2**14


def noise(
    seed: int, indices: Tensor, shape: tuple[int, int, int], *, steepness: tuple[float, float] = (0.5, 3.5)
) -> Tensor:
    """Gaussian noise of amplitude 1 / (|f_x|^a + |f_y|^b) at the frequency (f_x, f_y).

    Contrast, mean colour and the correlation of the channels are drawn for each image.

    Args:
        seed: any integer.
        indices: int64 [B], which images.
        shape: (C, H, W), C 1 or 3.
        steepness: least and largest a and b, in quarters up to 6: 0 is white noise, 1 pink, 2 brown.

    Returns:
        uint8 [B, C, H, W].

    Source: M. Baradad et al., "Learning to see by looking at noise", NeurIPS 2021, https://arxiv.org/abs/2106.05963.

    Example:
        >>> noise(0, torch.tensor([5, 3]), (3, 32, 32)).shape
        torch.Size([2, 3, 32, 32])
    """
    channels = shape[0]
    look = shares(seed, "noise: look", indices, 2 + 2 * channels).astype(np.float64)
    contrast, chroma = 24.0 + 48.0 * look[:, 0], look[:, 1]
    mean = 127.5 + 96.0 * (look[:, 2 : 2 + channels] - 0.5)
    waves = gaussian_fields(seed, "noise", indices, shape, steepness)  # [B, C, H, W]
    light = np.broadcast_to(waves[:, :1], waves.shape)
    tint = 2.0 * look[:, 2 + channels :] - 1.0
    # Every channel has the first field, and one of its own.
    mixed = light + (chroma[:, None] * tint)[:, :, None, None] * (np.roll(waves, 1, axis=1) - light)
    return torch.from_numpy(to_pixels(mean[:, :, None, None] + contrast[:, None, None, None] * mixed))


def gaussian_fields(
    seed: int, purpose: str, indices: Tensor, shape: tuple[int, int, int], steepness: tuple[float, float]
) -> np.ndarray:
    """Noise of mean 0 and deviation 1 over all of an image, float64 [B, C, H, W]; see `noise`.

    It is a sum of all waves that fit the image. Numbers are integers below 2^53 up to the last step, so that the two
    matrix products are exact, in whatever order a library adds.
    """
    batch, (channels, height, width) = len(indices), shape
    coefficients = _bell()[drawn(seed, f"{purpose}: waves", indices, math.prod(shape))]
    low, high = (round(exponent / _STEP) for exponent in steepness)
    picked = drawn(seed, f"{purpose}: steepness", indices, 2).astype(np.int64) % (high - low + 1) + low
    scaled = coefficients.reshape(batch, channels, height, width) * _spectrum(picked, height, width)
    # Image by image: for small products no library starts threads, which would cost more than they gain.
    return _standardised(_waves(height) @ (scaled @ _waves(width).T))


def _standardised(field: np.ndarray) -> np.ndarray:
    """Standardises each image to mean 0 and deviation 1; sums are of integers, hence exact."""
    largest = np.maximum(np.abs(field).max(axis=(1, 2, 3), keepdims=True), 1.0)
    field = np.rint(field * (_LEVELS / largest))
    count = field[0].size
    field -= np.rint(field.sum(axis=(1, 2, 3), keepdims=True) / count)
    deviation = np.sqrt((field * field).sum(axis=(1, 2, 3), keepdims=True) / count)
    return field / np.maximum(deviation, 1.0)


def _spectrum(steps: np.ndarray, height: int, width: int) -> np.ndarray:
    """Amplitudes of waves in rows and columns as whole numbers, float64 [B, 1, H, W]; `steps` int64 [B, 2]."""
    down, across = _powers(height)[steps[:, 1]], _powers(width)[steps[:, 0]]  # [B, H], [B, W]
    total = down[:, None, :, None] + across[:, None, None, :]
    total[:, :, 0, 0] = np.inf  # no constant: the mean is drawn by itself
    return np.rint(2.0**_AMPLITUDE_BITS / total)


@cache
def _powers(size: int) -> np.ndarray:
    """f^(k / 4) of each wave's frequency f, float64 [k, size], by square roots and products."""
    frequency = np.asarray((np.arange(size) + 1) // 2, dtype=np.float64)
    root = np.sqrt(np.sqrt(frequency))
    powers = [np.ones(size)]
    for _ in range(round(_STEEPEST / _STEP)):
        powers.append(powers[-1] * root)
    return np.stack(powers)


@cache
def _waves(size: int) -> np.ndarray:
    """The constant, then cosine and sine of each frequency, as whole numbers: float64 [size, size], a column each."""
    scale = 2.0**_WAVE_BITS
    turn = [
        (scale * math.sqrt(2) * math.cos(2 * math.pi * place / size),
         scale * math.sqrt(2) * math.sin(2 * math.pi * place / size))
        for place in range(size)
    ]  # fmt: skip
    columns = [[scale] * size]
    for wave in range(1, size):
        frequency, kind = (wave + 1) // 2, (wave + 1) % 2
        columns.append([turn[frequency * place % size][kind] for place in range(size)])
    return np.ascontiguousarray(np.rint(np.asarray(columns)).T)


@cache
def _bell() -> np.ndarray:
    """For every 16-bit number the sum of its four base-16 digits, centred at zero: float64 [65536] in -30..30."""
    numbers = np.arange(2**16)
    return np.sum([(numbers >> shift) & 15 for shift in (0, 4, 8, 12)], axis=0).astype(np.float64) - 30.0
