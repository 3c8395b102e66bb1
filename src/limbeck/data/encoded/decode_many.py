"""Decoding many images in order, in threads where that pays; broken ones are reported or skipped."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from limbeck.data.encoded.decode import Encoded, Target, Unreadable, WrongShape, decode
from limbeck.data.encoded.images import EncodedImages
from limbeck.data.pixel_range import Largest
from limbeck.errors import UserError

_CHUNK = 512
_LARGE = 12 * 1024
"""Mean encoded bytes from which threads pay: below, the interpreter's lock costs more than a second core gains."""


def decode_many(
    images: EncodedImages,
    rows: np.ndarray,
    target: Target,
    out: np.ndarray,
    *,
    skip_unreadable: bool = False,
    seen: list[Largest] | None = None,
) -> np.ndarray:
    """Decode the `rows` (int64 [B]) of `images` into `out` (uint8 [B, C, H, W]); `seen` is extended as by `decode`.

    Returns:
        bool [B], which were readable: all of them unless `skip_unreadable`; `out` is zero where not.

    Raises:
        UserError: an image is unreadable (unless skipped) or of another shape; names it.
    """
    readable = np.ones(len(rows), dtype=bool)

    def work(position: int, encoded: Encoded) -> None:
        try:
            out[position] = decode(encoded, target, seen)
        except Unreadable as error:
            if not skip_unreadable:
                raise unreadable(images.where(rows[position]), error) from error
            out[position] = 0
            readable[position] = False
        except WrongShape as error:
            raise UserError(f"{images.where(rows[position])} {error}.") from error

    for start in range(0, len(rows), _CHUNK):
        encoded = images.encoded(rows[start : start + _CHUNK])
        _run(work, start, encoded)
    return readable


def unreadable(where: str, error: Exception) -> UserError:
    """The error for one image that cannot be decoded."""
    return UserError(
        f"{where} cannot be read as an image: {str(error).rstrip('.')}. Mend or remove it, or leave all such images "
        "out with `skip_unreadable=True` (`--skip-unreadable`)."
    )


def _run(work: Callable[[int, Encoded], None], start: int, encoded: Sequence[Encoded]) -> None:
    workers = min(os.cpu_count() or 1, 16)
    one_by_one = not isinstance(encoded, list)
    if one_by_one or workers == 1 or len(encoded) < 2 * workers or _mean_bytes(encoded) < _LARGE:
        for offset, image in enumerate(encoded):
            work(start + offset, image)
        return
    with ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(work, range(start, start + len(encoded)), encoded):
            pass


def _mean_bytes(encoded: Sequence[Encoded]) -> float:
    sample = encoded[:8]
    return sum(_size(image) for image in sample) / len(sample)


def _size(encoded: Encoded) -> int:
    if isinstance(encoded, Path):
        try:
            return encoded.stat().st_size
        except (OSError, ValueError):  # a missing file, or not a path at all: the decoder reports it
            return 0
    if isinstance(encoded, bytes):
        return len(encoded)
    return encoded.nbytes if isinstance(encoded, np.ndarray) else 0  # an image of Pillow's is decoded already
