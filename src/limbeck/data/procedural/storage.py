"""Procedural images as a storage: rendered on access, never all in memory."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import Tensor

from limbeck.caching import cache_key
from limbeck.data.decoded import digest_table
from limbeck.data.procedural.kinds import KINDS
from limbeck.data.storage import DigestTable, Storage
from limbeck.errors import UserError, unknown_name
from limbeck.randomness import check_seed, derive_seed

MOST_PIXELS = 1024
"""Largest side: up to here all integers are below 2^53, and sums exact."""

_AT_ONCE = 2**15
"""Pixels rendered at a time: few enough for processor caches, and for torch to start no threads, which would spend more
time waiting for one another than computing."""


def render(kind: str, seed: int, indices: Tensor, shape: tuple[int, int, int], *, variant: str | None = None) -> Tensor:
    """Procedural images by number: the same (seed, index) gives the same pixels on any machine and in any batch.

    Args:
        kind: "noise", "dead-leaves", "fractals" or "shaders".
        seed: any whole number.
        indices: int64 [B], each at least 0.
        shape: (C, H, W), C 1 or 3, sides up to 1024; at another size an index is another image.
        variant: of the kind, see `limbeck ls datasets`; None for its usual one.

    Returns:
        uint8 [B, C, H, W].

    Raises:
        UserError: unknown kind or variant, a seed that is no whole number, a shape that is not allowed.

    Example:
        >>> images = render("dead-leaves", 1, torch.arange(8), (3, 32, 32))
        >>> torch.equal(images[5:6], render("dead-leaves", 1, torch.tensor([5]), (3, 32, 32)))
        True
    """
    check_seed(seed)
    _check_shape(shape)
    make = _function(kind, variant)
    seed = derive_seed(seed, kind, variant or KINDS[kind].default)
    out = np.empty((len(indices), *shape), np.uint8)
    step = max(1, _AT_ONCE // (shape[1] * shape[2]))
    for start in range(0, len(indices), step):
        out[start : start + step] = make(seed, indices[start : start + step], shape).numpy()
    return torch.from_numpy(out)


class ProceduralStorage(Storage):
    """The first N images of a kind and a seed; see `render`.

    Args:
        kind, variant, seed, shape: see `render`.
        count: N, at least 1.

    Raises:
        UserError: see `render`.
    """

    def __init__(self, kind: str, variant: str | None, seed: int, shape: tuple[int, int, int], count: int) -> None:
        _check_shape(shape)
        _function(kind, variant)
        self._made_of = (kind, variant, seed, shape, count)
        self._digests: DigestTable | None = None

    def __reduce__(self) -> tuple[type["ProceduralStorage"], tuple[Any, ...]]:
        return type(self), self._made_of  # hashes are read from the cache folder again

    @property
    def shape(self) -> tuple[int, int, int]:
        return self._made_of[3]

    def __len__(self) -> int:
        return self._made_of[4]

    def gather(self, positions: Tensor) -> Tensor:
        kind, variant, seed, shape, _ = self._made_of
        return render(kind, seed, positions, shape, variant=variant)

    def tensor(self) -> Tensor:
        return self.gather(torch.arange(len(self), device="cpu"))

    def digests(self, positions: Tensor) -> Tensor:
        if self._digests is None:
            kind, variant, seed, shape, count = self._made_of
            stamp = ["procedural", kind, variant or KINDS[kind].default, KINDS[kind].version, seed, shape]
            self._digests = digest_table(cache_key(*stamp, count), count)
        return self._digests.lookup(positions, self)


def _function(kind: str, variant: str | None) -> Callable[..., Tensor]:
    if kind not in KINDS:
        raise unknown_name("kind of procedural images", kind, KINDS)
    entry = KINDS[kind]
    if variant is not None and variant not in entry.variants:
        raise unknown_name(f"variant of {kind!r}:", variant, entry.variants)
    options = entry.variants[variant or entry.default].options
    module, _, name = entry.made_by.partition(":")
    function = getattr(import_module(module), name)
    return lambda seed, indices, shape: function(seed, indices, shape, **options)


def _check_shape(shape: tuple[int, int, int]) -> None:
    channels, *sides = shape
    if channels not in (1, 3) or not all(1 <= side <= MOST_PIXELS for side in sides):
        raise UserError(
            f"procedural images must have 1 or 3 channels and 1 to {MOST_PIXELS} pixels a side, got "
            f"{'x'.join(map(str, shape))} (channels, height, width)."
        )
