"""Procedural images by name, as an `ImageSet`."""

from collections.abc import Sequence

from limbeck.data.catalogue import DatasetInfo, find_split
from limbeck.data.encoded.build import LoadOptions
from limbeck.data.image_set import ImageSet
from limbeck.data.procedural.storage import ProceduralStorage
from limbeck.data.storage import TensorStorage
from limbeck.errors import UserError
from limbeck.randomness import check_seed, derive_seed


def load_procedural(
    info: DatasetInfo,
    split: str,
    options: LoadOptions,
    images: int,
    *,
    seed: int,
    columns: tuple[str | None, str | None] = (None, None),
    classes: Sequence[str | int] | None = None,
) -> ImageSet:
    """The first `images` images of a split, unlabelled, with their numbers as ids.

    Each split has a seed of its own, so that no image is in two of them.

    Raises:
        UserError: a seed that is no whole number, no such split, or options that procedural images do not have:
            columns, classes, a scale.
    """
    check_seed(seed)
    find_split(info, split)
    unsupported = {"image_column": columns[0], "label_column": columns[1], "classes": classes, "scale": options.scale}
    for argument, value in unsupported.items():
        if value is not None:
            raise UserError(
                f"`{argument}` must be left out for {info.name!r}, whose images are made by a function and have no "
                f"labels, got {value!r}."
            )
    kind, _, variant = info.name.partition(":")
    channels, size = options.channels or info.channels, options.size or info.size
    storage = ProceduralStorage(
        kind, variant or None, derive_seed(seed, "procedural", split), (channels, *size), images
    )
    return ImageSet(TensorStorage(storage.tensor()) if options.in_memory else storage, name=f"{info.name}/{split}")
