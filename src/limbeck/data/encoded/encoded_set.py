"""What a reader finds before anything is decoded."""

from dataclasses import dataclass

import numpy as np

from limbeck.data.encoded.images import EncodedImages
from limbeck.data.pixel_range import Largest


@dataclass(frozen=True)
class EncodedSet:
    """Encoded images with their labels.

    Args:
        images: the N encoded images.
        labels: int64 [N] in 0..K-1, or None.
        classes: the K class names.
        ids: int64 [N], distinct; None for the row numbers.
        size: (H, W) to resize to when the images differ in size and the user names none.
        channels: 1 or 3 where the catalogue knows; None to look at the images.
        remarks: warnings for the user about how the set was read.
        scaled: whether the images are converted to 8 bits already; `seen` then tells their values (see `check_range`).
    """

    images: EncodedImages
    labels: np.ndarray | None
    classes: tuple[str, ...]
    ids: np.ndarray | None = None
    size: tuple[int, int] | None = None
    channels: int | None = None
    remarks: tuple[str, ...] = ()
    scaled: bool = False
    seen: tuple[Largest, ...] = ()
