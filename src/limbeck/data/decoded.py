"""Decoded pixels on disk, so that a set is decoded once and memory-mapped afterwards."""

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch import Tensor

from limbeck.caching import cache_folder
from limbeck.data.pixel_range import Largest, brightest
from limbeck.data.storage import DIGEST_BYTES, DigestTable, TensorStorage, image_digests
from limbeck.errors import UserError
from limbeck.files import atomic_folder, atomic_path

_VERSION = 1


@dataclass(frozen=True)
class Decoded:
    """Decoded images of a set, which of the requested rows were readable (bool), and the images' `Largest`."""

    storage: TensorStorage
    readable: np.ndarray
    seen: list[Largest]


def read_decoded(key: str) -> Decoded | None:
    """The images cached under `key`, memory-mapped copy-on-write; None if there are none."""
    folder = cache_folder() / "decoded" / key
    try:
        images = np.load(folder / "images.npy", mmap_mode="c")
        digests = np.load(folder / "digests.npy")
        readable = np.load(folder / "readable.npy")
        seen = [Largest(*entry) for entry in json.loads((folder / "about.json").read_text())["seen"]]
    except (OSError, ValueError, EOFError, KeyError, TypeError):
        return None
    if images.ndim != 4 or digests.shape != (len(images), DIGEST_BYTES) or readable.sum() != len(images):
        return None
    return Decoded(TensorStorage(torch.from_numpy(images), torch.from_numpy(digests)), readable, seen)


def write_decoded(
    key: str, images: np.ndarray, readable: np.ndarray, seen: Sequence[Largest], about: dict[str, object]
) -> None:
    """Store `images` (uint8 [M, C, H, W], the readable ones) under `key`; a full disk is a warning, not an error.

    Of `seen` only what `check_range` needs is stored, so that it can warn again when the set is read from the cache.
    """
    try:
        with atomic_folder(cache_folder() / "decoded" / key, replace=True) as folder:
            out = open_memmap(folder / "images.npy", mode="w+", dtype=np.uint8, shape=images.shape)
            out[:] = images
            out.flush()
            np.save(folder / "digests.npy", image_digests(torch.from_numpy(images)).numpy())
            np.save(folder / "readable.npy", readable)
            (folder / "about.json").write_text(
                json.dumps({"version": _VERSION, "seen": brightest(seen), **about}, indent=1)
            )
    except (UserError, OSError) as error:  # others may replace or remove the folder meanwhile
        warnings.warn(f"decoded images are not cached: {error} (LIMBECK_CACHE names the folder)", stacklevel=2)


def digest_table(key: str, count: int) -> DigestTable:
    """Hashes of a set that stays encoded, as far as they are known; kept on disk, as each one takes a decoded image."""
    path = cache_folder() / "digests" / f"{key}.npy"

    def save(digests: Tensor) -> None:
        try:
            with atomic_path(path) as temporary:
                np.save(temporary, digests.numpy())
        except UserError as error:
            warnings.warn(f"hashes of images are not cached: {error} (LIMBECK_CACHE names the folder)", stacklevel=2)

    try:
        digests = np.load(path)
    except (OSError, ValueError, EOFError):
        return DigestTable(count, save=save)
    return DigestTable(count, torch.from_numpy(digests) if digests.shape == (count, DIGEST_BYTES) else None, save)
