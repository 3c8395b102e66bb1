"""`limbeck.load` for verbs, which have a `seed` option of their own."""

from pathlib import Path
from typing import Any

from limbeck.data.image_set import ImageSet
from limbeck.data.loading import load as load_images


def load(name: str | Path, split: str, *, images_seed: int | None = None, **options: Any) -> ImageSet:
    """As `limbeck.load`; `images_seed` is its `seed`, that of procedural images.

    Example:
        >>> len(load("noise", "train", images=5, images_seed=1))
        5
    """
    return load_images(name, split, seed=images_seed, **options)
