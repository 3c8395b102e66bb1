"""Map-style data sets such as torch's, read item by item on access."""

import warnings
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from PIL import Image
from torch.utils.data import Subset

from limbeck.data.encoded.decode import Encoded
from limbeck.data.encoded.images import EncodedImages
from limbeck.data.labels import LabelColumn
from limbeck.data.objects.arrays import check_range_of
from limbeck.data.objects.items import NoLabel, encoded_item, parts_of
from limbeck.data.objects.opened import How, Opened, label_column
from limbeck.data.objects.torch_classes import class_names, has_target_transform, known_labels, title_of
from limbeck.data.objects.torch_transforms import check_transforms, random_advice
from limbeck.errors import UserError

_LOOK_AT = 8
"""Items that are read twice at first, to check them."""
_CACHE_BYTES = 2**29
"""Bytes of items that are kept while a set is opened, so that they are not read again."""
_ADVICE = "Set `dataset.classes`, a list of the names of all classes."


@runtime_checkable
class MapStyle(Protocol):
    """Anything with a length and items by number."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any, /) -> Any: ...


class ItemImages(EncodedImages):
    """Images of the items of a data set.

    Args:
        dataset: gives the same item for a number each time.
        how: which part of an item is the image.
        name: what to call the data set in messages.
    """

    def __init__(self, dataset: MapStyle, how: How, name: str) -> None:
        self._dataset = dataset
        self._how = how
        self._name = name
        self._cached: dict[int, Encoded] = {}
        self._room = _CACHE_BYTES

    def __len__(self) -> int:
        return len(self._dataset)

    def __getstate__(self) -> dict[str, object]:
        """Pickles without the cached items."""
        return {**vars(self), "_cached": {}, "_room": 0}

    def encoded(self, rows: np.ndarray) -> Sequence[Encoded]:
        return _Read(self, rows.tolist())

    def image(self, row: int) -> Encoded:
        """The image of an item, which is cached while there is room."""
        return self._cached[row] if row in self._cached else self.read(row)[0]

    def read(self, row: int) -> tuple[Encoded, Any]:
        """Image and label of an item.

        Raises:
            UserError: the data set raises an error, or gives something else.
        """
        where = self.where(row)
        try:
            item = self._dataset[row]
        except (UserError, MemoryError):
            raise
        except Exception as error:  # raised by code of the user's
            raise UserError(f"{where} could not be read: {type(error).__name__}: {error}") from error
        image, label = parts_of(item, self._how, where)
        encoded = encoded_item(image, where, self._how.layout)
        self._remember(row, encoded)
        return encoded, label

    def where(self, row: int) -> str:
        return f"item {row} of {self._name}"

    def stamp(self) -> None:
        return None

    def _remember(self, row: int, encoded: Encoded) -> None:
        if isinstance(encoded, Image.Image):
            size = encoded.width * encoded.height * len(encoded.getbands())
        else:
            size = encoded.nbytes if isinstance(encoded, np.ndarray) else 1000
        if row not in self._cached and size <= self._room:
            self._cached[row] = encoded
            self._room -= size


class _Read(Sequence[Encoded]):
    """Images that are read one by one on access, since decoded photographs are large."""

    def __init__(self, images: ItemImages, rows: list[int]) -> None:
        self._images = images
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, place: Any) -> Any:
        rows = self._rows[place]
        return self._images.image(rows) if isinstance(rows, int) else [self._images.image(row) for row in rows]


def open_map_style(dataset: MapStyle, how: How) -> Opened:
    """A data set of items by number, of torch, of torchvision or a list.

    Raises:
        UserError: no items, items of another form, images that are normalised or drawn at random.
    """
    name = title_of(dataset)
    if len(dataset) == 0:
        raise UserError(f"`images` must be at least one, got none: the {name} is empty.")
    check_transforms(dataset)
    images = ItemImages(dataset, how, f"the {name}")
    looked_at = np.linspace(0, len(dataset) - 1, min(_LOOK_AT, len(dataset))).astype(np.int64).tolist()
    labels = {row: _look(images, row, how.options.scale) for row in looked_at}
    if any(label is NoLabel for label in labels.values()):
        return Opened(images, None, name)
    return Opened(images, _Labels(dataset, images, labels), name, _Whole(dataset), advice=_ADVICE)


class _Labels:
    """Reads the labels of a data set: from the attributes of torch's own classes, else each item once."""

    def __init__(self, dataset: MapStyle, images: ItemImages, looked_at: dict[int, Any]) -> None:
        self._dataset = dataset
        self._images = images
        self._looked_at = looked_at

    def __call__(self) -> LabelColumn:
        where = f"labels of {self._images.where(0).partition(' of ')[2]}"
        known = known_labels(self._dataset)
        labels = known if known is not None and self._agrees(known) else self._read()
        names = class_names(self._dataset)
        if names is not None and has_target_transform(self._dataset):
            warnings.warn(
                f"names of classes of {where.partition(' of ')[2]} are left aside, since its `target_transform` may "
                "number others; set `classes` on a data set of your own around it.",
                stacklevel=7,
            )
            names = None
        return label_column(labels, where, names)

    def _agrees(self, known: Sequence[Any]) -> bool:
        return all(_same(known[row], label) for row, label in self._looked_at.items())

    def _read(self) -> list[Any]:
        labels = (self._images.read(row)[1] for row in range(len(self._images)))
        return [None if label is NoLabel else label for label in labels]


class _Whole:
    """Labels of the whole data set that a subset belongs to, if known: the subset may lack a class."""

    def __init__(self, dataset: MapStyle) -> None:
        self._dataset = dataset

    def __call__(self) -> list[LabelColumn]:
        whole = self._dataset
        while isinstance(whole, Subset):
            whole = whole.dataset
        known = None if whole is self._dataset else known_labels(whole)
        return [] if known is None else [label_column(known, f"labels of the {title_of(whole)}")]


def _look(images: ItemImages, row: int, scale: float | None) -> Any:
    """The label of an item, after checking that its image is the same twice and its numbers can be pixels."""
    first, label = images.read(row)
    second, other = images.read(row)
    if not _equal(first, second) or not _same(label, other):
        raise UserError(random_advice(f"{images.where(row)} is another one each time that it is read"))
    if isinstance(first, np.ndarray):
        low, high = float(first.min()), float(first.max())
        check_range_of(low, high, first.dtype, scale, images.where(row))
    return label


def _equal(first: Encoded, second: Encoded) -> bool:
    if isinstance(first, Image.Image) and isinstance(second, Image.Image):
        return first.size == second.size and first.mode == second.mode and first.tobytes() == second.tobytes()
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        return first.shape == second.shape and np.array_equal(first, second, equal_nan=first.dtype.kind == "f")
    return type(first) is type(second) and bool(first == second)


def _same(first: Any, second: Any) -> bool:
    if first is NoLabel or second is NoLabel:
        return first is second
    return np.array_equal(np.asarray(first), np.asarray(second))
