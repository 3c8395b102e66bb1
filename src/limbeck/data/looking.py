"""A time-limited search for broken images before a whole set is decoded."""

import time

import numpy as np

from limbeck.data.encoded.decode import Target, Unreadable, WrongShape, decode, header
from limbeck.data.encoded.images import EncodedImages

_AT_ONCE = 64
_SMALL = Target(3, 8, 8, resize=True)


def broken_images(images: EncodedImages, *, seconds: float) -> tuple[list[str], int]:
    """(what is wrong with each broken image, how many were decoded): headers first, then pixels, as time permits.

    Args:
        images: N encoded images.
        seconds: time for headers, and the same again for pixels; images are taken evenly spread over the set.

    Example:
        >>> from limbeck.data.encoded.images import ArrayImages
        >>> broken_images(ArrayImages(np.zeros((5, 4, 4), np.uint8), "zeros"), seconds=1.0)
        ([], 5)
    """
    errors: dict[int, str] = {}
    decoded = 0
    for whole in (False, True):
        ends = time.monotonic() + seconds
        for rows in _spread(len(images)):
            if time.monotonic() > ends:
                break
            for row, encoded in zip(rows.tolist(), images.encoded(rows), strict=True):
                try:
                    decode(encoded, _SMALL) if whole else header(encoded)
                except Unreadable as error:
                    errors.setdefault(row, f"{images.where(row)} cannot be decoded: {error}")
                except WrongShape:
                    pass  # depends on how the images are loaded
            decoded += len(rows) if whole else 0
    return [errors[row] for row in sorted(errors)], decoded


def _spread(count: int) -> list[np.ndarray]:
    """All row numbers in groups, each of which is spread over the whole."""
    groups = -(-count // _AT_ONCE)
    return [np.arange(first, count, groups) for first in range(groups)]
