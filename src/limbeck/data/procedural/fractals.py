"""Fractals: attractors of random iterated function systems, drawn by the chaos game."""

from functools import cache

import numpy as np
import torch
from torch import Tensor

from limbeck.data.procedural.draws import cosine, drawn, shares, sine, softened, to_pixels
from limbeck.data.procedural.noise import gaussian_fields

_MAPS = 4
_NUMBERS = 7
"""Random numbers of a map."""

_SETTLING, _STEPS = 10, 20
"""Steps of the game that are discarded, and those that are drawn."""

_FEWEST = 16
_NONE = np.float32(0)


def fractals(
    seed: int,
    indices: Tensor,
    shape: tuple[int, int, int],
    *,
    count: int = 3,
    points: float = 1.0,
    ground: bool = True,
) -> Tensor:
    """Each fractal is the set that two to four random affine maps together map to itself.

    The maps contract as much, together, as Anderson and Farrell found to make fractals of good geometry. Points are
    moved by one map after another, chosen at random in proportion to their areas; denser parts have another colour.

    Args:
        seed: any integer.
        indices: int64 [B], which images.
        shape: (C, H, W), C 1 or 3.
        count: fractals in an image, one before the other; a single one fills it.
        points: of all fractals together, for each pixel.
        ground: whether coloured noise lies behind them, else black.

    Returns:
        uint8 [B, C, H, W].

    Source: H. Kataoka et al., "Pre-training without natural images", ACCV 2020; C. Anderson and R. Farrell, "Improving
    fractal pre-training", WACV 2022, https://arxiv.org/abs/2110.03091.

    Example:
        >>> fractals(0, torch.tensor([5, 3]), (3, 32, 32)).shape
        torch.Size([2, 3, 32, 32])
    """
    shape = shape[0], shape[1] + 1, shape[2] + 1  # of the pixels' corners
    batch, (channels, height, width) = len(indices), shape
    look = shares(seed, "fractals: look", indices, count, 4 + 2 * channels)  # place, size, colours
    steps = _chances(max(round(points * height * width / count / _STEPS), _FEWEST))
    x, y = _play(seed, indices, count, steps)  # [steps, B * count, chains]
    size = look[..., 2:4] * 0.5 + 0.5 if count > 1 else np.ones_like(look[..., 2:4])
    corner = look[..., 0:2] * (1.25 - size) - 0.125 if count > 1 else np.zeros_like(size)
    columns, inside_x = _placed(x, corner[..., 0], size[..., 0], width)
    rows, inside_y = _placed(y, corner[..., 1], size[..., 1], height)
    which = np.arange(batch * count)[:, None]
    places = ((which * height + rows) * width + columns)[inside_x & inside_y]
    hits = np.bincount(places, minlength=batch * count * height * width).reshape(batch, count, height, width)
    hits = np.minimum(hits, len(_COVER) - 1)

    pixels = _ground(seed, indices, shape) if ground else np.zeros((batch, *shape), np.float32)
    for number in range(count):
        sparse, dense = np.split(255.0 * look[:, number, 4:, None, None], 2, axis=1)  # [B, C, 1, 1]
        hit = hits[:, number, None]
        colour = sparse + (dense - sparse) * _DENSE[hit]
        pixels = pixels + (colour - pixels) * _COVER[hit]
    return torch.from_numpy(to_pixels(softened(pixels)))


_COVER = np.asarray([0.0, 0.7, 0.9, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0], dtype=np.float32)
_DENSE = np.asarray([0.0, 0.0, 0.125, 0.25, 0.375, 0.5, 0.675, 0.875, 1.0], dtype=np.float32)
"""By the number of points on a pixel: how much it covers, and how much of its colour is that of dense parts."""


def _play(seed: int, indices: Tensor, count: int, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x and y of the points of every fractal after each step that is drawn, float32 [S, B * count, chains] each.

    All fractals share the same throws of the dice, and have their own maps.
    """
    maps, chosen = _systems(seed, indices, count)  # [6, B * count * _MAPS], [B * count, 256]
    fractal = np.arange(len(chosen))[:, None] * _MAPS
    x = y = np.zeros((len(chosen), steps.shape[1]), np.float32)
    xs, ys = [], []
    for number, throw in enumerate(steps):
        a, b, c, d, e, f = maps[:, fractal + chosen[:, throw]]
        x, y = a * x + b * y + e, c * x + d * y + f
        if number >= _SETTLING:
            xs.append(x)
            ys.append(y)
    return np.stack(xs), np.stack(ys)


def _systems(seed: int, indices: Tensor, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients a to f of the maps (x, y) -> (ax + by + e, cx + dy + f), [6, B * count * _MAPS]; and of each
    fractal the map that a throw of 256 sides chooses, int64 [B * count, 256]."""
    numbers = shares(seed, "fractals: maps", indices, count, _MAPS, _NUMBERS).reshape(-1, _MAPS, _NUMBERS)
    first, second, wide, flat, e, f, mirror = np.moveaxis(numbers, 2, 0)  # [F, _MAPS] each
    kinds = drawn(seed, "fractals: sizes", indices, 2 * count).astype(np.int64).reshape(-1, 2)
    used = np.arange(_MAPS) < (2 + kinds[:, :1] % (_MAPS - 1))  # [F, _MAPS]
    # Singular values: the sum of the larger and twice the smaller is as in good fractals, and none is near 1.
    wide, narrow = np.where(used, 0.5 + 0.4 * wide, _NONE), np.where(used, 0.2 + 0.8 * flat, _NONE)
    sought = (5.0 + (kinds[:, 1] % 256) / 256.0 + used.sum(axis=1)).astype(np.float32) / 2
    narrow = narrow * ((sought - _total(wide)) / (2 * _total(narrow)))[:, None]
    narrow = np.clip(narrow, 0.1 * wide, wide)
    (c, s), (cc, ss) = ((cosine(turn), sine(turn)) for turn in (first, second))
    sign = np.where(mirror < 0.5, np.float32(-1), np.float32(1))
    coefficients = [
        c * cc * wide - s * ss * narrow,
        -sign * (c * ss * wide + s * cc * narrow),
        s * cc * wide + c * ss * narrow,
        sign * (c * cc * narrow - s * ss * wide),
        2 * e - 1,
        2 * f - 1,
    ]
    area = np.where(used, wide * narrow + np.float32(0.02), _NONE)
    upto = np.stack([area[:, 0], area[:, 0] + area[:, 1], area[:, 0] + area[:, 1] + area[:, 2]])
    throws = (np.arange(256, dtype=np.float32) + 0.5) / 256 * _total(area)[:, None]
    chosen = sum((throws >= limit[:, None]).astype(np.int64) for limit in upto)
    return np.stack([coefficient.reshape(-1) for coefficient in coefficients]), np.asarray(chosen)


def _total(parts: np.ndarray) -> np.ndarray:
    """Sums of the `_MAPS` parts in one order, [F]."""
    return parts[:, 0] + parts[:, 1] + (parts[:, 2] + parts[:, 3])


@cache
def _chances(chains: int) -> np.ndarray:
    """The throws of all games, int64 [steps, chains] in 0..255."""
    numbers = drawn(0, "fractals: throws", torch.arange(_SETTLING + _STEPS, device="cpu"), chains)
    return (numbers & 255).astype(np.int64)


def _placed(points: np.ndarray, corner: np.ndarray, size: np.ndarray, pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixel of each point along one side, where each fractal spans `size` of the side from `corner` on, and whether
    that is inside; [S, F, chains]."""
    low, high = points.min(axis=(0, 2)), points.max(axis=(0, 2))  # [F]
    scale = size.reshape(-1) * np.float32(pixels - 1e-3) / np.maximum(high - low, np.float32(1e-6))
    shift = corner.reshape(-1) * np.float32(pixels) - low * scale
    places = np.floor(points * scale[:, None] + shift[:, None])
    inside = (places >= 0) & (places < pixels)
    return np.where(inside, places, 0).astype(np.int64), inside


def _ground(seed: int, indices: Tensor, shape: tuple[int, int, int]) -> np.ndarray:
    """Coloured noise, float32 [B, C, H, W]."""
    look = shares(seed, "fractals: ground", indices, 2 * shape[0]).reshape(len(indices), 2, shape[0], 1, 1)
    field = gaussian_fields(seed, "fractals: ground", indices, (1, *shape[1:]), (1.0, 2.5)).astype(np.float32)
    return 255.0 * look[:, 0] + (96.0 * look[:, 1] - 48.0) * field
