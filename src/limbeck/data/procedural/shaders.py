"""Shader-like images: nested random functions of the coordinates, like short graphics programs."""

import numpy as np
import torch
from torch import Tensor

from limbeck.data.procedural.draws import drawn, shares, sine, softened, to_pixels

_START = 3
"""Functions that all images begin with: across, along, and the squared distance from a point."""

_RAMP = 12.0
"""Of 255, within half the shorter side, times a half to two."""


def shaders(
    seed: int,
    indices: Tensor,
    shape: tuple[int, int, int],
    *,
    depth: int = 6,
    frequency: float = 0.6,
    sharpness: float = 0.5,
) -> Tensor:
    """Every function is a wave of two earlier ones u and v, clip(g sin 2 pi (a u + b v + c u v + d)).

    A gain g above 1 makes its crests flat and its flanks steep, up to edges. Channels are mixtures of the last three
    functions.

    Args:
        seed: any integer.
        indices: int64 [B], which images.
        shape: (C, H, W), C 1 or 3.
        depth: functions of an image.
        frequency: largest |a| and |b|, in waves over half an image.
        sharpness: share of functions with a gain above 1.

    Returns:
        uint8 [B, C, H, W].

    Source: M. Baradad et al., "Procedural image programs for representation learning", NeurIPS 2022,
    https://arxiv.org/abs/2211.16412, take such programs from people; K. Stanley, "Compositional pattern producing
    networks", 2007, draws them.

    Example:
        >>> shaders(0, torch.tensor([5, 3]), (3, 32, 32)).shape
        torch.Size([2, 3, 32, 32])
    """
    batch, (channels, height, width) = len(indices), (shape[0], shape[1] + 1, shape[2] + 1)  # of the pixels' corners
    numbers = shares(seed, "shaders", indices, depth, 6)
    picks = drawn(seed, "shaders: picks", indices, 2 * depth).astype(np.int64).reshape(batch, depth, 2)
    images = np.arange(batch)
    functions = np.empty((batch, _START + depth, height * width), np.float32)
    functions[:, :_START] = _start(seed, indices, height, width)
    for number in range(depth):
        count = _START + number
        # The newest function enters the next one, so that all of them matter.
        u, v = functions[images, picks[:, number, 0] % count], functions[:, count - 1]
        a, b, c, d, sharp, gain = numbers[:, number].T[:, :, None]  # [B, 1] each
        a, b, c = (frequency * (2 * factor - 1) for factor in (a, b, c))
        steep = np.where(sharp < sharpness, 1 + 5 * gain, np.float32(1))
        wave = sine(a * u + b * v + c * (u * v) + d)
        np.clip(steep * wave, -1.0, 1.0, out=functions[:, count])
    corners = _coloured(seed, indices, functions, channels).reshape(batch, channels, height, width)
    return torch.from_numpy(to_pixels(softened(corners)))


def _start(seed: int, indices: Tensor, height: int, width: int) -> np.ndarray:
    """Across, along and squared distance in units of half the shorter side, turned and scaled: float32 [B, 3, H W].

    `height` and `width` are numbers of corners.
    """
    look = shares(seed, "shaders: start", indices, 4)[:, :, None]
    short = min(height, width) - 1
    x = (2 * np.arange(width, dtype=np.float32) + (1 - width)) / short
    y = (2 * np.arange(height, dtype=np.float32) + (1 - height)) / short
    x, y = np.tile(x, height), np.repeat(y, width)
    c, s = sine(look[:, 0] + 0.25), sine(look[:, 0])
    scale = 0.5 + 1.5 * look[:, 1]
    across, along = scale * (c * x - s * y), scale * (s * x + c * y)
    from_x, from_y = x - (2 * look[:, 2] - 1), y - (2 * look[:, 3] - 1)
    return np.stack([across, along, from_x * from_x + from_y * from_y - 1], axis=1)


def _coloured(seed: int, indices: Tensor, made: np.ndarray, channels: int) -> np.ndarray:
    """A mean colour, changed by the last three of the functions (`made`, [B, F, H W]): float32 [B, C, H W]."""
    look = shares(seed, "shaders: colours", indices, 3 + 4 * channels)
    light, tint, other = (40.0 + 60.0 * look[:, 0], 140.0 * look[:, 1], 140.0 * look[:, 2])
    mean, along, apart, astray = np.moveaxis(look[:, 3:].reshape(len(look), 4, channels), 1, 0)  # [B, C] each
    along = light[:, None] * (0.4 + 0.6 * along)  # all channels follow the last function, more or less
    weights = [along, tint[:, None] * (apart - 0.5), other[:, None] * (astray - 0.5)]
    # The mean leaves room for these changes; a slight ramp keeps any image from being a single colour.
    values = ((120.0 - along) * (2.0 * mean - 1.0))[:, :, None] + _RAMP * made[:, None, 0]
    for number, weight in enumerate(weights, start=1):
        values = values + weight[:, :, None] * made[:, -number, None]
    return 127.5 + 180.0 * values / (120.0 + np.abs(values))  # all of it within 0..255
