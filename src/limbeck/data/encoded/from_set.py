"""Images of an existing `ImageSet`, to be converted to another shape."""

import numpy as np
import torch

from limbeck.data.encoded.decode import Encoded
from limbeck.data.encoded.encoded_set import EncodedSet
from limbeck.data.encoded.images import EncodedImages
from limbeck.data.image_set import ImageSet


class SetImages(EncodedImages):
    """Images of an `ImageSet`, a few at a time, wherever their pixels live."""

    def __init__(self, images: ImageSet) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def encoded(self, rows: np.ndarray) -> list[Encoded]:
        pixels = self._images.gather(torch.from_numpy(np.asarray(rows, dtype=np.int64))).permute(0, 2, 3, 1).numpy()
        return list(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)

    def where(self, row: int) -> str:
        return f"image {row} of {self._images.name}"

    def stamp(self) -> None:
        return None


def encoded_from(images: ImageSet) -> EncodedSet:
    """The images of a set with its labels, classes and ids."""
    return EncodedSet(
        SetImages(images),
        None if images.labels is None else images.labels.numpy().astype(np.int64),
        images.classes,
        ids=images.ids.numpy(),
        channels=images.shape[0],
    )
