"""The handwritten digits that come with scikit-learn: 1,797 gray images of 8x8, no download."""

from functools import cache

import numpy as np

from limbeck.data.encoded.encoded_set import EncodedSet
from limbeck.data.encoded.images import ArrayImages

_TEST_IMAGES = 360


def read_digits(split: str) -> EncodedSet:
    """`split` "train" (1,437 images) or "test" (360): stratified, always the same; ids are scikit-learn's row numbers.

    Pixels are 0..16 in the source and scaled to 0..255.

    Source: E. Alpaydin and C. Kaynak, "Optical recognition of handwritten digits", UCI repository, 1998.
    """
    pixels, labels, rows = _all()
    ids = rows["train" if split == "train" else "test"]
    classes = tuple(str(digit) for digit in range(10))
    return EncodedSet(ArrayImages(pixels[ids], "scikit-learn's digits"), labels[ids], classes, ids=ids, channels=1)


@cache
def _all() -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Pixels, labels, and the rows of each split; cached, since scikit-learn stores them as text."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    pixels, labels = load_digits(return_X_y=True)
    train, test = train_test_split(np.arange(len(labels)), test_size=_TEST_IMAGES, random_state=0, stratify=labels)
    images = np.rint(pixels.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    return images, np.asarray(labels, dtype=np.int64), {"train": np.sort(train), "test": np.sort(test)}
