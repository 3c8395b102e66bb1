"""Images as arrays: `.npz` files."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from limbeck.data.cells import ArrayCells
from limbeck.data.decode import to_uint8
from limbeck.data.local import SPLIT_ALIASES, canonical_split
from limbeck.data.source import Source, encode_labels
from limbeck.errors import UserError

_IMAGES = ("images", "image", "x", "X", "data", "pixels")
_LABELS = ("labels", "label", "y", "Y", "targets", "target")
_CLASSES = ("classes", "class_names")


def npz_source(path: Path, split: str, *, image_key: str | None = None, label_key: str | None = None) -> Source:
    """Images and labels of a `.npz` file.

    Images are the array `images`, `x`, `data` ..., of split "test" `x_test`, `test_images` ...; [N, H, W], [N, H, W, C]
    or [N, C, H, W] with C 1, 3 or 4; uint8, wider integers (8-bit when none is above 255, else 16-bit), bool, or floats
    in [0, 1]. Labels are `labels`, `y` ...; class names, if any, `classes`. Nothing pickled is read.

    Args:
        path: the file.
        split: "train" for arrays without a split in their name.
        image_key, label_key: the arrays' names, where they are none of the usual.

    Raises:
        UserError: not a `.npz`, no such array, NaN, pixels out of range, another number of labels.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{str(path)!r} cannot be read as a .npz of plain arrays: {error}.") from error
    image_key = _find(arrays, "image_column", image_key, _IMAGES, split, path)
    if image_key is None:
        raise UserError(
            f"{str(path)!r} holds no array of images for split {split!r}; it has {', '.join(arrays)}. Usual names are "
            f"'images' or 'x_{split}'; else name it with `image_column`."
        )
    images = _channels_last(arrays[image_key], f"{image_key!r} of {str(path)!r}")
    label_key = _find(arrays, "label_column", label_key, _LABELS, split, path)
    labels, classes = None, ()
    if label_key is not None:
        where = f"labels {label_key!r} of {str(path)!r}"
        values = arrays[label_key]
        values = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
        names = next((arrays[key].tolist() for key in _CLASSES if key in arrays), None)
        labels, classes = encode_labels(values, names, where)
        if len(values) != len(images):
            raise UserError(f"{where} must be {len(images)}, one for each image, got {len(values)}.")
    return Source(ArrayCells(images, f"{image_key!r} of {str(path)!r}"), labels, classes)


def _find(
    arrays: Mapping[str, np.ndarray], argument: str, named: str | None, usual: tuple[str, ...], split: str, path: Path
) -> str | None:
    if named is not None:
        if named not in arrays:
            raise UserError(
                f"`{argument}` must be an array of {str(path)!r}, got {named!r}; it has {', '.join(arrays)}."
            )
        return named
    for alias in next((names for names in SPLIT_ALIASES if split in names), (split,)):
        for name in usual:
            for key in (f"{name}_{alias}", f"{alias}_{name}"):
                if key in arrays:
                    return key
    if canonical_split(split) != "train":
        return None
    return next((name for name in usual if name in arrays), None)


def _channels_last(images: np.ndarray, where: str) -> np.ndarray:
    """uint8 [N, H, W] or [N, H, W, C]."""
    if images.ndim == 4 and images.shape[3] not in (1, 3, 4) and images.shape[1] in (1, 3, 4):
        images = images.transpose(0, 2, 3, 1)
    if images.ndim != 3 and not (images.ndim == 4 and images.shape[3] in (1, 3, 4)):
        raise UserError(
            f"images {where} must be [N, H, W], [N, H, W, C] or [N, C, H, W] with C 1, 3 or 4, "
            f"got {list(images.shape)}."
        )
    if len(images) == 0:
        raise UserError(f"images {where} must be at least one, got none.")
    wide = images.dtype.kind in "iu" and images.dtype.itemsize > 1 and int(images.max()) > 255
    try:
        return to_uint8(images, sixteen_bit=wide)
    except ValueError as error:
        raise UserError(f"images {where} have wrong pixels: {error}.") from error
