"""Images as arrays: `.npz` files."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from limbeck.data.encoded.decode import to_uint8
from limbeck.data.encoded.encoded_set import EncodedSet
from limbeck.data.encoded.images import ArrayImages
from limbeck.data.labels import LabelColumn, encode_labels, label_array
from limbeck.data.local import SPLIT_ALIASES, canonical_split
from limbeck.data.pixel_range import Largest
from limbeck.errors import UserError

_IMAGES = ("images", "image", "x", "X", "data", "pixels")
_LABELS = ("labels", "label", "y", "Y", "targets", "target")
_CLASSES = ("classes", "class_names")
_BLOCK = 2**24
"""Values converted to 8 bits at a time: wider types pass through double precision, which takes memory."""


def read_npz(
    path: Path,
    split: str,
    *,
    image_key: str | None = None,
    label_key: str | None = None,
    scale: float | None = None,
    labelled: bool = True,
) -> EncodedSet:
    """Images and labels of a `.npz` file.

    Images are the array `images`, `x`, `data` ..., of split "test" `x_test`, `test_images` ...; [N, H, W], [N, H, W, C]
    or [N, C, H, W] with C 1, 3 or 4; uint8, wider integers (8-bit when none of any split is above 255, else 16-bit),
    bool, or floats in [0, 1]. Labels are `labels`, `y` ...; class names, if any, are `classes`, which may also be just
    their number; without it, classes come from the labels of all splits. Nothing pickled is read.

    Args:
        path: the file.
        split: "train" for arrays without a split in their name.
        image_key, label_key: names of the arrays, where they are not among the usual ones.
        scale: the value that becomes white; see `load`.
        labelled: whether labels are wanted.

    Raises:
        UserError: not a `.npz`, no such array, NaN, pixels out of range, another number of labels.
    """
    arrays = _arrays(path)
    image_key = _find(arrays, "image_column", image_key, _IMAGES, split, path)
    if image_key is None:
        raise UserError(
            f"{str(path)!r} holds no array of images for split {split!r}; it has {', '.join(arrays)}. Usual names are "
            f"'images' or 'x_{split}'; else name it with `image_column`."
        )
    others = _other_splits(arrays, image_key)
    wide = any(_is_wide(arrays[key]) for key in (image_key, *others.values()))
    seen: list[Largest] = []
    where = f"{image_key!r} of {str(path)!r}"
    images = _images(arrays[image_key], f"images {where}", sixteen_bit=wide, scale=scale, seen=seen)
    label_key = _find(arrays, "label_column", label_key, _LABELS, split, path) if labelled else None
    labels, classes = None, ()
    if label_key is not None:
        labels, classes = _labels(arrays, label_key, others, path)
        count = len(arrays[label_key])
        if count != len(images):
            raise UserError(
                f"labels {label_key!r} of {str(path)!r} must be {len(images)}, one for each image, got {count}."
            )
    return EncodedSet(ArrayImages(images, where), labels, classes, scaled=True, seen=tuple(seen))


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: _array(stored, name, path) for name in stored.files}
    except (MemoryError, UserError):
        raise
    except Exception as error:  # `zipfile`, `zlib` and NumPy's header reader raise a dozen different types
        raise UserError(f"{str(path)!r} cannot be read as a .npz of plain arrays: {error}.") from error


def _array(stored: Mapping[str, np.ndarray], name: str, path: Path) -> np.ndarray:
    try:
        return stored[name]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise UserError(
            f"{str(path)!r} cannot be read as a .npz of plain arrays: {name!r} is of Python objects, which could run "
            "any code when read. Store text as `array.astype(str)`, numbers as an array of one number type and shape."
        ) from error


def _other_splits(arrays: Mapping[str, np.ndarray], image_key: str) -> dict[str, str]:
    """split -> its array of images, of the splits other than that of `image_key`."""
    names = (_stem(image_key), *_IMAGES)
    keys = {split: _first(arrays, names, split) for split, *_ in SPLIT_ALIASES}
    return {split: key for split, key in keys.items() if key is not None and key != image_key}


def _other_labels(arrays: Mapping[str, np.ndarray], label_key: str, others: Mapping[str, str]) -> list[str]:
    """The arrays of labels of the splits `others`, as many as there are images."""
    stem = _stem(label_key)
    names = (stem, *_LABELS) if stem in _LABELS else (stem,)  # "coarse_train" says nothing about "y_test"
    pairs = [(_first(arrays, names, split), key) for split, key in others.items()]
    return [
        labels
        for labels, images in pairs
        if labels is not None and labels != label_key and arrays[labels].shape[:1] == arrays[images].shape[:1]
    ]


def _stem(key: str) -> str:
    """The name of an array without the split in it."""
    for alias in (alias for names in SPLIT_ALIASES for alias in names):
        for stem in (key.removesuffix(f"_{alias}"), key.removeprefix(f"{alias}_")):
            if stem != key:
                return stem
    return key


def _labels(
    arrays: Mapping[str, np.ndarray], label_key: str, others: Mapping[str, str], path: Path
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    key = next((key for key in _CLASSES if key in arrays), None)
    names = None if key is None else _class_names(arrays[key], key, path)
    # Labels as text bring their own names; a bare number of classes then only states how many there must be.
    counted = key is not None and arrays[key].dtype.kind in "iu" and arrays[label_key].dtype.kind in "US"

    def column(key: str) -> LabelColumn:
        where = f"labels {key!r} of {str(path)!r}"
        return LabelColumn(label_array(arrays[key], where), where, None if counted else names)

    siblings = _other_labels(arrays, label_key, others)
    own = column(label_key)
    labels, classes = encode_labels([own], lambda: [column(key) for key in siblings], own.where)
    if counted and labels is not None and len(classes) != len(names or ()):
        raise UserError(f"{own.where} must be of {len(names or ())} classes, as {key!r} says, got {len(classes)}.")
    return labels, classes


def _class_names(stored: np.ndarray, key: str, path: Path) -> tuple[str, ...]:
    """The names as stored, or "0".."K-1" where the array is just the number K."""
    where = f"{key!r} of {str(path)!r}"
    if stored.size == 0:
        raise UserError(f"{where} must be class names as text, or their number, got none.")
    if stored.dtype.kind in "iu":
        count = int(stored.item()) if stored.size == 1 else len(stored)
        if stored.size != 1 and not np.array_equal(stored, np.arange(count)):
            raise UserError(
                f"{where} must be class names as text, or their number, got integers that are not 0..K-1: whether "
                "labels are these or count them is not clear. Store `np.array(classes).astype(str)` for the latter."
            )
        if stored.size == 1 and count < 1 and stored.ndim == 0:
            raise UserError(f"{where} must be class names as text, or their number, at least 1, got {count}.")
        return tuple(map(str, range(max(count, 1))))
    if stored.dtype.kind not in "US" or stored.ndim > 1:
        raise UserError(
            f"{where} must be class names as text [K], or their number, got {stored.dtype} {list(stored.shape)}."
        )
    try:
        texts = np.char.decode(stored, "utf-8") if stored.dtype.kind == "S" else stored
    except UnicodeDecodeError as error:
        raise UserError(f"{where} must be text in UTF-8, got bytes that are none: {error}.") from error
    return tuple(texts.reshape(-1).tolist())


def _find(
    arrays: Mapping[str, np.ndarray], argument: str, named: str | None, usual: tuple[str, ...], split: str, path: Path
) -> str | None:
    if named is not None:
        if named not in arrays:
            raise UserError(
                f"`{argument}` must be an array of {str(path)!r}, got {named!r}; it has {', '.join(arrays)}."
            )
        return named
    return _first(arrays, usual, split)


def _first(arrays: Mapping[str, np.ndarray], usual: tuple[str, ...], split: str) -> str | None:
    """The first array of a usual name with `split` in it, or of training without one."""
    for alias in next((names for names in SPLIT_ALIASES if split in names), (split,)):
        for name in usual:
            for key in (f"{name}_{alias}", f"{alias}_{name}"):
                if key in arrays:
                    return key
    if canonical_split(split) != "train":
        return None
    return next((name for name in usual if name in arrays), None)


def _is_wide(images: np.ndarray) -> bool:
    return images.dtype.kind in "iu" and images.dtype.itemsize > 1 and images.size > 0 and int(images.max()) > 255


def _images(
    images: np.ndarray, where: str, *, sixteen_bit: bool, scale: float | None, seen: list[Largest]
) -> np.ndarray:
    """uint8 [N, H, W] or [N, H, W, C]."""
    if images.ndim == 4 and images.shape[3] not in (1, 3, 4) and images.shape[1] in (1, 3, 4):
        images = images.transpose(0, 2, 3, 1)
    if images.ndim != 3 and not (images.ndim == 4 and images.shape[3] in (1, 3, 4)):
        raise UserError(
            f"{where} must be [N, H, W], [N, H, W, C] or [N, C, H, W] with C 1, 3 or 4, got {list(images.shape)}."
        )
    if len(images) == 0:
        raise UserError(f"{where} must be at least one, got none.")
    if images.size == 0:
        raise UserError(f"{where} must have at least one pixel, got {list(images.shape)}.")
    out = np.empty(images.shape, dtype=np.uint8)
    block = max(1, _BLOCK // images[0].size)
    try:
        for start in range(0, len(images), block):
            part = images[start : start + block]
            out[start : start + block] = to_uint8(part, sixteen_bit=sixteen_bit, scale=scale, seen=seen)
    except ValueError as error:
        raise UserError(f"{where} have wrong pixels: {error}.") from error
    return out
