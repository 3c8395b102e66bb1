"""Items of map-style data sets such as torch's: which part is the image, which the label, and the image's form."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from limbeck.data.encoded.decode import Encoded
from limbeck.data.objects.arrays import numbers_of
from limbeck.data.objects.opened import How, Layout
from limbeck.errors import UserError

IMAGE_KEYS = ("image", "pixel_values", "img", "images", "pixels")
LABEL_KEYS = ("label", "labels", "target", "targets", "class", "y")
_ALLOWED = "(image, label), (image,), an image alone, or a mapping with 'image' and 'label'"


class NoLabel:
    """Stands for the label of an item that has none."""


def parts_of(item: Any, how: How, where: str) -> tuple[Any, Any]:
    """(image, label) of an item; the label is `NoLabel` where it has none.

    Raises:
        UserError: an item of another form.
    """
    if isinstance(item, Mapping):
        image = _key(item, how.image_column, IMAGE_KEYS, "image_column", where)
        label = _key(item, how.label_column, LABEL_KEYS, "label_column", where)
        if image is None:
            raise UserError(
                f"{where} must have its image under {', '.join(map(repr, IMAGE_KEYS))}, got {sorted(map(str, item))}; "
                "name the key with `image_column`."
            )
        return item[image], NoLabel if label is None else item[label]
    for argument, column in (("image_column", how.image_column), ("label_column", how.label_column)):
        if column is not None:
            raise UserError(
                f"`{argument}` is for tables and items that are mappings, and {where} is none; leave it out, got "
                f"{column!r}."
            )
    if isinstance(item, tuple | list):
        if len(item) not in (1, 2):
            raise UserError(f"{where} must be {_ALLOWED}, got {type(item).__name__} of {len(item)} parts.")
        return item[0], item[1] if len(item) == 2 else NoLabel
    return item, NoLabel


def encoded_item(image: Any, where: str, layout: Layout | None = None) -> Encoded:
    """The image of an item in a form that the decoder accepts.

    Tensors are read as [C, H, W], torch's order, where their shape allows it; arrays as [H, W, C].

    Raises:
        UserError: it is not an image.
    """
    if isinstance(image, Image.Image | bytes | Path):
        return image
    if isinstance(image, str):
        return Path(image)
    if isinstance(image, Mapping) and set(image) == {"bytes", "path"}:  # an undecoded `Image` of `datasets`
        return image["bytes"] or Path(image["path"])
    if isinstance(image, Tensor | np.ndarray):
        numbers = numbers_of(image)
        first = isinstance(image, Tensor) if layout is None else layout == "NCHW"
        return _height_first(numbers, first, where)
    raise UserError(
        f"{where} must hold a PIL image, a tensor, an array, or bytes or path of an image file, got "
        f"{type(image).__name__}."
    )


def _height_first(pixels: np.ndarray, channels_first: bool, where: str) -> np.ndarray:
    if pixels.ndim == 3:
        ends = (0, 2) if channels_first else (2, 0)
        place = next((end for counts in ((1, 3), (4,)) for end in ends if pixels.shape[end] in counts), None)
        if place is not None and pixels.size:
            return pixels.transpose(1, 2, 0) if place == 0 else pixels
    if pixels.ndim == 2 and pixels.size:
        return pixels
    raise UserError(f"{where} must be [C, H, W], [H, W, C] or [H, W] with C 1, 3 or 4, got {list(pixels.shape)}.")


def _key(item: Mapping[Any, Any], named: str | None, usual: tuple[str, ...], argument: str, where: str) -> str | None:
    if named is not None and named not in item:
        raise UserError(f"`{argument}` must be a key of {where}, got {named!r}; it has {sorted(map(str, item))}.")
    return named if named is not None else next((key for key in usual if key in item), None)
