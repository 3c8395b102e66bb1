"""Tables of images: `datasets.Dataset`, Arrow tables and data frames."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from limbeck.data.encoded.decode import Encoded
from limbeck.data.encoded.images import ColumnImages, EncodedImages, file_stamps
from limbeck.data.labels import LabelColumn
from limbeck.data.objects.opened import How, Opened
from limbeck.data.stream_source import with_bytes
from limbeck.data.tables import ImageTable, features_of, find_images, find_labels, stated_names
from limbeck.errors import UserError

_PATHS = ("path", "image_path", "file_name", "filename", "filepath", "file")
"""Columns of data frames that may hold the paths of images, where no column has a usual name for images."""
_FRAME_ADVICE = "Use text as labels."
_DATASET_ADVICE = "`dataset.cast_column(column, datasets.ClassLabel(names=[...]))` names all classes."


def is_of_datasets(images: object, *kinds: str) -> bool:
    """Whether it is an object of the library `datasets`, which need not be imported: without it there are none."""
    library: Any = sys.modules.get("datasets")
    return library is not None and isinstance(images, tuple(getattr(library, kind) for kind in kinds))


class TableRows(EncodedImages):
    """A column of images whose rows are read on access.

    Args:
        count: of rows.
        take: rows int64 [B] -> the column at these rows, in their order.
        where: what to call the table in messages.
        stamp: see `EncodedImages.stamp`.
    """

    def __init__(
        self, count: int, take: Callable[[np.ndarray], pa.ChunkedArray], where: str, stamp: list[object] | None
    ) -> None:
        self._count = count
        self._take = take
        self._where = where
        self._stamp = stamp

    def __len__(self) -> int:
        return self._count

    def encoded(self, rows: np.ndarray) -> list[Encoded]:
        return _Part(with_bytes(self._take(rows)), rows, self._where).encoded(np.arange(len(rows)))

    def where(self, row: int) -> str:
        return f"row {row} of {self._where}"

    def stamp(self) -> list[object] | None:
        return self._stamp


class _Part(ColumnImages):
    """Some rows of a column; messages name them by their numbers in the whole column."""

    def __init__(self, column: pa.ChunkedArray, rows: np.ndarray, where: str) -> None:
        super().__init__(len(rows), lambda: column, where=where, stamp=None)
        self._rows = rows

    def where(self, row: int) -> str:
        return super().where(int(self._rows[row]))


def open_dataset(dataset: Any, how: How) -> Opened:
    """A `datasets.Dataset` (selected, shuffled or filtered as it is), read as it is stored, without decoding.

    Raises:
        UserError: no column of images, or a transform that makes its rows when they are read.
    """
    title = title_of(dataset)
    if dataset.format["type"] == "custom":
        raise UserError(
            f"{title!r} has a transform (`set_transform` or `with_transform`), and limbeck reads images as they are "
            "stored and draws views itself; give `dataset.with_format(None)`, or what `dataset.map` stores."
        )
    shown = dataset.select_columns(dataset.format["columns"])
    features, where = dict(shown.features.to_dict()), f"the dataset {title!r}"
    table = ImageTable(shown.features.arrow_schema, features, len(shown), _nothing, _nothing, _nothing, where)
    image, label = find_images(table, how.image_column), find_labels(table, how.label_column)
    if label == image:
        raise UserError(f"`label_column` must be another column than the images, got {label!r} for both.")
    cells = shown.select_columns([image]).with_format("arrow")
    return Opened(
        TableRows(len(shown), _Taking(cells, image), where, _stamp(dataset, image)),
        None if label is None else lambda: _labels(shown, label, where),
        title,
        advice=_DATASET_ADVICE,
    )


def open_frame(frame: Any, how: How) -> Opened:
    """A data frame of pandas or polars, or an Arrow table: paths or bytes of images, and labels.

    Raises:
        UserError: no column of images, or columns that Arrow cannot hold.
    """
    kind = type(frame).__name__
    try:
        table: pa.Table = pa.table(frame)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise UserError(
            f"`images` is a {kind} that Arrow cannot hold ({str(error).rstrip('.')}); its images must be paths, bytes "
            "of files or lists of numbers."
        ) from error
    where = f"the {kind}"
    described = ImageTable(
        table.schema, features_of(table.schema, where), len(table), _nothing, _nothing, _nothing, where
    )
    image = find_images(described, how.image_column or _column_of_paths(described))
    label = find_labels(described, how.label_column)
    return Opened(
        ColumnImages(len(table), lambda: table[image], where=where, stamp=None, folder=Path()),
        None
        if label is None
        else lambda: LabelColumn(
            table[label], f"labels in column {label!r} of {where}", stated_names(described.features, label)
        ),
        kind,
        advice=_FRAME_ADVICE,
    )


def title_of(dataset: Any) -> str:
    """What reports call a data set of the library `datasets`."""
    name = dataset.info.dataset_name or "dataset"
    return name if dataset.split is None else f"{name}/{dataset.split}"


def _column_of_paths(table: ImageTable) -> str | None:
    try:
        return find_images(table)
    except UserError:
        return next((name for name in _PATHS if name in table.schema.names), None)


def _labels(dataset: Any, column: str, where: str) -> LabelColumn:
    values = dataset.select_columns([column]).with_format("arrow")[:][column]
    names = stated_names(dict(dataset.features.to_dict()), column)
    return LabelColumn(values, f"labels in column {column!r} of {where}", names)


class _Taking:
    """Takes rows of a column; unlike a lambda it can be pickled for workers."""

    def __init__(self, cells: Any, column: str) -> None:
        self._cells = cells
        self._column = column

    def __call__(self, rows: np.ndarray) -> pa.ChunkedArray:
        return self._cells[rows.tolist()][self._column]


def _stamp(dataset: Any, column: str) -> list[object] | None:
    """The stamps of the files of `datasets` and its fingerprint, which covers the selection of rows; None where images
    are separate files, which may change, or are in memory."""
    files = [Path(file["filename"]) for file in dataset.cache_files]
    kind = dataset.features.arrow_schema.field(column).type
    if not files or not pa.types.is_struct(kind) or kind.get_field_index("bytes") < 0:
        return None
    chunks = dataset.data.column(column).chunks
    if any(chunk.field(kind.get_field_index("bytes")).null_count for chunk in chunks):
        return None
    return ["datasets", dataset._fingerprint, column, *file_stamps(files)]


def _nothing(column: str) -> Any:
    raise AssertionError(f"nothing of {column} is read before its rows are")
