"""The common form in which objects of all kinds are opened, before anything is decoded."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
from torch import Tensor

from limbeck.data.encoded.build import LoadOptions
from limbeck.data.encoded.images import EncodedImages
from limbeck.data.labels import LabelColumn, UnusableLabels, label_array
from limbeck.data.pixel_range import Largest

Layout = Literal["NCHW", "NHWC", "NHW"]
"""Order of the axes of images: their number, channels, height, width."""
LAYOUTS: tuple[Layout, ...] = get_args(Layout)


@dataclass(frozen=True)
class How:
    """What the caller of `load` says about an object.

    Attributes:
        image_column, label_column: columns of tables, keys of items that are mappings.
        layout: order of the axes, where shapes are ambiguous.
        count: number of images to read from a stream.
        options: what the images are converted to.
    """

    image_column: str | None = None
    label_column: str | None = None
    layout: Layout | None = None
    count: int | None = None
    options: LoadOptions = field(default_factory=LoadOptions)


@dataclass(frozen=True)
class Opened:
    """Images of one split.

    Attributes:
        images: not decoded yet.
        labels: reads them; None where there are none.
        title: what reports call the set.
        others: labels of images beside these, whose classes are numbered together with these.
        scaled, seen: see `EncodedSet`.
        advice: how to give class names with such an object, for the message where numbers have gaps.
    """

    images: EncodedImages
    labels: Callable[[], LabelColumn] | None
    title: str
    others: Callable[[], list[LabelColumn]] = list
    scaled: bool = False
    seen: tuple[Largest, ...] = ()
    advice: str = ""


def label_column(values: Any, where: str, names: tuple[str, ...] | None = None) -> LabelColumn:
    """A `LabelColumn` from any sequence.

    Raises:
        UnusableLabels: values of a kind that no label has.
    """
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    if isinstance(values, pa.ChunkedArray):
        return LabelColumn(values, where, names)
    if isinstance(values, np.ndarray) and values.dtype != object:
        return LabelColumn(label_array(values, where), where, names)
    try:
        plain = [_plain(label) for label in values]
        return LabelColumn(pa.chunked_array([pa.array(plain)]), where, names)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise UnusableLabels(
            f"{where} must be one integer or string for each image, all of one kind: {str(error).rstrip('.')}."
        ) from error


def _plain(label: Any) -> Any:
    """A label as a Python number or text; several numbers become a list, which is refused later."""
    if isinstance(label, Tensor):
        label = label.detach().cpu().numpy()
    if isinstance(label, np.ndarray):
        return label.item() if label.size == 1 else label.tolist()
    return label.item() if isinstance(label, np.generic) else label
