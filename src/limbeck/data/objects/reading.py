"""How any object that stands for images is read, or why it cannot be."""

import sys
from collections.abc import Mapping, Sized
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import pyarrow as pa
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset

from limbeck.data.encoded.encoded_set import EncodedSet
from limbeck.data.image_set import ImageSet
from limbeck.data.labels import LabelColumn, UnusableLabels, encode_labels
from limbeck.data.local import canonical_split
from limbeck.data.objects.arrays import open_array
from limbeck.data.objects.map_style import MapStyle, open_map_style
from limbeck.data.objects.opened import LAYOUTS, How, Opened, label_column
from limbeck.data.objects.streams import open_dataset_stream, open_torch_stream
from limbeck.data.objects.tables import is_of_datasets, open_dataset, open_frame
from limbeck.errors import UserError

ImagesLike = (
    ImageSet
    | str
    | Path
    | np.ndarray
    | Tensor
    | tuple[Any, ...]
    | list[Any]
    | Mapping[str, Any]
    | pa.Table
    | Dataset[Any]
    | MapStyle
)
"""Whatever stands for images where the name of a data set may be given: see `docs/data.md`."""

OBJECTS = "a `datasets.Dataset`, a torch `Dataset`, an array or tensor, (images, labels) and a data frame"


def is_object(images: object) -> TypeGuard[ImagesLike]:
    """Whether images may be read from this object; false for names."""
    if isinstance(images, str | Path | bytes) or images is None:
        return False
    if isinstance(images, list) and any(isinstance(item, str) for item in images[:1]):
        return False  # may be several names; a list of `Path` is a list of images
    if isinstance(images, ImageSet | Tensor | np.ndarray | Mapping | DataLoader | Dataset) or _is_frame(images):
        return True
    return is_of_datasets(images, "Dataset", "IterableDataset") or isinstance(images, MapStyle)


def not_images(argument: str, got: str) -> UserError:
    """The error for an object that no images can be read from.

    Example:
        >>> str(not_images("test", "int")).partition(";")[0]
        "`test` must be images as `lb.load` gives them, or a data set's name, got int"
    """
    return UserError(
        f"`{argument}` must be images as `lb.load` gives them, or a data set's name, got {got}; {OBJECTS} are taken, "
        "too."
    )


def has_splits(images: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether it holds several splits by name, as a `datasets.DatasetDict` does."""
    return isinstance(images, Mapping)


def is_stream(images: object, split: str) -> bool:
    """Whether its images come one after another without a length."""
    if has_splits(images):
        images = images[_split_of(images, split)]
    return is_of_datasets(images, "IterableDataset") or isinstance(images, IterableDataset)


def read_object(images: Any, split: str, how: How, *, labels_needed: bool) -> tuple[EncodedSet, str, str]:
    """The images of an object other than an `ImageSet`.

    Args:
        images: see `ImagesLike`.
        split: which of several splits; an object without splits is one by itself.
        how: what the caller says about it.
        labels_needed: whether labels that cannot be numbered are an error.

    Returns:
        The images, their name in reports, and why their labels were ignored, "" where they were not.

    Raises:
        UserError: an object of another kind, and see `limbeck.load`.
    """
    others: list[Any] = []
    title = ""
    if has_splits(images):
        title = _split_of(images, split)
        others = [other for name, other in images.items() if name != title]
        images = images[title]
    if how.layout is not None:
        _check_layout(how.layout, images)
    opened = _open(images, how)
    name = f"{opened.title}/{title}" if title and not opened.title.endswith(f"/{title}") else opened.title
    unusable = ""
    try:
        labels, classes = _labelled(opened, others, how)
    except UnusableLabels as error:
        if labels_needed:
            raise UnusableLabels(f"{error} {opened.advice}".rstrip()) from error
        labels, classes, unusable = None, (), str(error)
    encoded = EncodedSet(opened.images, labels, classes, scaled=opened.scaled, seen=opened.seen)
    return encoded, name, unusable


def check_split(images: object, split: str) -> None:
    """Raises a UserError where the object is not the split that is asked for."""
    if has_splits(images) or split == "train":
        return
    own = str(images.split) if is_of_datasets(images, "Dataset", "IterableDataset") else None  # pyright: ignore[reportAttributeAccessIssue]
    if own is None or canonical_split(own) != canonical_split(split):
        what = f"it is {own!r}" if own not in (None, "None") else "it does not say which"
        raise UserError(
            f"`split` chooses among several, as of a `DatasetDict`, and the {type(images).__name__} is one by itself: "
            f"{what}; leave `split` out, got {split!r}."
        )


def _check_layout(layout: str, images: object) -> None:
    """Raises a UserError for an unknown layout, or for one given with an object that has none."""
    if layout not in LAYOUTS:
        raise UserError(f"`layout` must be {' or '.join(map(repr, LAYOUTS))}, got {layout!r}.")
    if is_of_datasets(images, "Dataset", "IterableDataset") or _is_frame(images):
        kind = type(images).__name__
        raise UserError(f"`layout` is for arrays and tensors, and the {kind} is none; leave it out, got {layout!r}.")


def _labelled(opened: Opened, others: list[Any], how: How) -> tuple[np.ndarray | None, tuple[str, ...]]:
    if opened.labels is None:
        return None, ()
    column = opened.labels()

    def of_others() -> list[LabelColumn]:
        readers = [other.labels for other in map(partial(_open, how=how), others) if other.labels is not None]
        return [*opened.others(), *(read() for read in readers)]

    labels, classes = encode_labels([column], of_others, column.where)
    if labels is not None and len(labels) != len(opened.images):
        raise UserError(f"{column.where} must be {len(opened.images)}, one for each image, got {len(labels)}.")
    return labels, classes


def _open(images: Any, how: How) -> Opened:
    if isinstance(images, Subset) and is_of_datasets(images.dataset, "Dataset"):
        images = images.dataset.select(list(images.indices))  # pyright: ignore[reportAttributeAccessIssue]
    if is_of_datasets(images, "IterableDataset"):
        return open_dataset_stream(images, how)
    if isinstance(images, IterableDataset):
        return open_torch_stream(images, how)
    if how.count is not None:
        raise UserError(
            "`images` is how many of a stream are read, or of images that are made on the fly; the "
            f"{type(images).__name__} has its own number. Leave it out, and take a part of what `lb.load` gives."
        )
    if is_of_datasets(images, "Dataset"):
        return open_dataset(images, how)
    if isinstance(images, DataLoader):
        raise UserError(
            "`images` must be a data set, got a DataLoader, whose batches are shuffled and transformed; give its "
            "`loader.dataset`."
        )
    if _is_frame(images):
        return open_frame(images, how)
    if isinstance(images, Tensor) or (isinstance(images, np.ndarray) and images.dtype != object):
        return open_array(images, how)
    if isinstance(images, tuple):
        return _open_pair(images, how)
    if isinstance(images, MapStyle) and not isinstance(images, str | bytes | Image.Image | Mapping | set | ImageSet):
        return open_map_style(images, how)
    what = type(images).__name__
    if isinstance(images, Dataset) and not isinstance(images, MapStyle):
        what = f"{what}, which lacks `__len__`"
    raise not_images("images", what)


def _open_pair(pair: tuple[Any, ...], how: How) -> Opened:
    """(images, labels), and perhaps the names of all classes."""
    if len(pair) not in (2, 3) or isinstance(pair[0], tuple):
        raise UserError(
            "`images` must be (images, labels) or (images, labels, names of all classes), got a tuple of "
            f"{len(pair)}; a list is taken for images."
        )
    images, labels, *names = pair
    if isinstance(images, Tensor) or (isinstance(images, np.ndarray) and images.dtype != object):
        opened = open_array(images, how, count=len(labels) if isinstance(labels, Sized) else None)
    else:
        opened = _open(images, how)
    if opened.labels is not None:
        raise UserError(f"(images, labels) gives labels to images that have their own, the {opened.title}; give one.")
    if labels is None:
        return opened
    stated = tuple(map(str, names[0])) if names and names[0] is not None else None
    where = f"labels of the {opened.title}"
    return replace(
        opened,
        labels=lambda: label_column(labels, where, stated),
        advice="Give (images, labels, names of all classes); `lb.TransferSet(images, soft_labels)` takes soft labels.",
    )


def _split_of(splits: Mapping[str, Any], split: str) -> str:
    same = [name for name in splits if canonical_split(str(name)) == canonical_split(split)]
    matching = [split] if split in splits else same
    if len(matching) != 1:
        names = " or ".join(repr(str(name)) for name in splits) or "the name of one"
        raise UserError(
            f"`split` of the {type(splits).__name__} must be {names}, got {split!r}; a mapping is taken for splits by "
            "name, and (images, labels) for images with labels."
        )
    return matching[0]


def _is_frame(images: object) -> bool:
    """Whether it is a table of Arrow, pandas or polars."""
    pandas: Any = sys.modules.get("pandas")
    return (
        isinstance(images, pa.Table)
        or (pandas is not None and isinstance(images, pandas.DataFrame))
        or type(images).__module__.partition(".")[0] == "polars"
    )
