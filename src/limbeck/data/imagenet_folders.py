"""ImageNet as unpacked: a folder for each split, and in it one for each class, named by its WordNet id."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from limbeck.data.encoded.build import class_number
from limbeck.data.encoded.encoded_set import EncodedSet
from limbeck.data.encoded.images import FileImages
from limbeck.data.folders import class_images
from limbeck.data.imagenet_names import imagenet_names
from limbeck.data.layout import listing, names
from limbeck.data.visible import images_in, subfolders
from limbeck.errors import UserError

EACH = 10**6
"""The id of an image is this times the number of its class, plus its place in the folder of the class."""


def read_imagenet_folders(
    folder: Path,
    wanted: Sequence[str | int] | None,
    *,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
) -> EncodedSet:
    """The images of one split, labelled among all thousand classes; only the folders of the wanted classes are read.

    An image has the same id whichever classes are read.

    Args:
        folder: of the split.
        wanted: names or numbers of the classes to read; None for all.
        size, channels: see `EncodedSet`.

    Raises:
        UserError: no such class; a class without a folder (or images in `folder` itself); a class without images.
    """
    wordnet, classes = list(imagenet_names()), tuple(imagenet_names().values())
    # In the order of the folders, whatever order the classes are asked for in.
    numbers = sorted({class_number(choice, classes) for choice in (range(len(classes)) if wanted is None else wanted)})
    missing = [wordnet[number] for number in numbers if not (folder / wordnet[number]).is_dir()]
    if missing:
        raise _without_folders(folder, missing)
    paths: list[Path] = []
    labels, ids = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for number in numbers:
        images = class_images(folder / wordnet[number])
        paths += images
        labels.append(np.full(len(images), number))
        ids.append(number * EACH + np.arange(len(images)))
    return EncodedSet(
        FileImages(paths), np.concatenate(labels), classes, ids=np.concatenate(ids), size=size, channels=channels
    )


def _without_folders(folder: Path, missing: Sequence[str]) -> UserError:
    if loose := next(images_in(folder), None):
        return UserError(
            f"{str(folder)!r} holds images in no class folder, for instance {loose.name!r}; move each into the folder "
            f"of its class, as {str(folder / missing[0])!r}. `torchvision.datasets.ImageNet(FOLDER, 'val')` makes "
            "FOLDER/val so, of ILSVRC2012_img_val.tar and ILSVRC2012_devkit_t12.tar.gz in FOLDER."
        )
    first = missing[0]
    several = f", nor those of {len(missing) - 1} more: {listing(missing[1:])}" if len(missing) > 1 else ""
    folders = subfolders(folder)
    return UserError(
        f"{str(folder)!r} holds no folder {first!r} of the class {imagenet_names()[first]!r}{several}. "
        f"There {f'are folders {names(folders)}' if folders else 'is no folder'}; copy what is missing."
    )
