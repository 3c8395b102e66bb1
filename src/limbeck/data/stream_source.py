"""Rows of tables from front to back through `datasets`: on the hub, without a download, or in files."""

import glob
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from limbeck.data.catalogue import CONVERTED
from limbeck.data.encoded.decode import Encoded
from limbeck.data.encoded.images import ColumnImages, EncodedImages
from limbeck.data.hub import cannot_open
from limbeck.data.table_places import FilePlace, HubPlace
from limbeck.data.tables import ImageTable, find_images, find_labels, if_there, open_parquet, stated_names
from limbeck.errors import UserError

_BATCH = 128


@dataclass(frozen=True)
class Stream:
    """Rows of a table, read from any row on.

    Attributes:
        rows: number of the first row -> batches of rows, as `pa.Table`.
        where: what to call it in messages.
        images, labels: its columns; None where it has no labels.
        count: number of rows that it states; None where it does not.
        about: what the cache is to note about it.
        folder: what relative paths in it are relative to.
    """

    rows: Callable[[int], Iterator[pa.Table]]
    where: str
    images: str
    labels: str | None
    count: int | None
    about: dict[str, Any]
    folder: Path = Path()


def open_stream(
    place: HubPlace | FilePlace,
    named: tuple[str | None, str | None],
    usual: tuple[str | None, str | None] = (None, None),
    *,
    begun: dict[str, Any] | None = None,
) -> Stream:
    """The rows at `place`.

    Args:
        place: a split on the hub, or files.
        named: columns of images and labels that the user named.
        usual: columns from the catalogue; ignored where an uploader has renamed them since.
        begun: what was noted of the stream when it was first opened; a repository is read at that commit.

    Raises:
        UserError: it cannot be opened, or has no such split or columns.
    """
    builder, where, count = _builder(place, begun)
    split = place.split if isinstance(place, HubPlace) else "train"
    try:
        splits = builder.as_streaming_dataset()
        rows = splits.get(split)
        schema = None if rows is None else _schema(rows)
    except Exception as error:  # of a dozen libraries that read and connect
        raise _unopened(place, error) from error
    if rows is None:
        name = repr(place.hub_id) if isinstance(place, HubPlace) else where
        raise UserError(f"`split` of {name} must be {' or '.join(map(repr, splits))}, got {split!r}.")
    if schema is None:
        raise UserError(f"{where} holds no images.")
    stream = _stream_of(rows, schema, where, named, usual)
    folder = place.files[0].absolute().parent if isinstance(place, FilePlace) else Path()
    about = {**stream.about, "commit": _commit(place, builder)}
    return replace(stream, count=count, about=about, folder=folder)


def stream_of(rows: Any, where: str, named: tuple[str | None, str | None]) -> Stream | None:
    """The rows of a `datasets.IterableDataset`; None if it is empty.

    Args:
        rows: as `datasets` streams them.
        where: what to call it in messages.
        named: columns of images and labels that the user named.

    Raises:
        UserError: it cannot be read, or has no such columns.
    """
    try:
        schema = _schema(rows)
    except Exception as error:  # of a dozen libraries that read and connect
        raise UserError(f"{where} cannot be read: {error}.") from error
    return None if schema is None else _stream_of(rows, schema, where, named, (None, None))


def _stream_of(
    rows: Any,
    schema: pa.Schema,
    where: str,
    named: tuple[str | None, str | None],
    usual: tuple[str | None, str | None],
) -> Stream:
    features = dict(rows.features.to_dict()) if rows.features else {}
    table = ImageTable(schema, features, 0, _nothing, _nothing, _nothing, where)
    images = find_images(table, named[0] or if_there(usual[0], table))
    labels = find_labels(table, named[1] or if_there(usual[1], table))
    # Not decoded by `datasets`, for which a broken image would end the stream.
    encoded = rows.decode(False) if rows.features else rows
    wanted = encoded.select_columns([images, *([labels] if labels else [])]).with_format("arrow")
    names = stated_names(features, labels) if labels else None
    return Stream(
        rows=lambda start: _from(wanted, start),
        where=where,
        images=images,
        labels=labels,
        count=None,
        about={"where": where, "label": labels, "names": names},
    )


def _from(rows: Any, start: int) -> Iterator[pa.Table]:
    """Batches from row `start` on. Earlier rows are read as well: `IterableDataset.skip` does so too, and its older
    releases guess the types of the rows that they skip."""
    for batch in rows.iter(_BATCH):
        if start < len(batch):
            yield batch.slice(start)
        start = max(start - len(batch), 0)


def _schema(rows: Any) -> pa.Schema | None:
    """The stated schema, or that of the first row where none is stated; None where there are no rows."""
    if rows.features:
        return rows.features.arrow_schema
    first = next(rows.with_format("arrow").iter(1), None)
    return None if first is None else first.schema


def _builder(place: HubPlace | FilePlace, begun: dict[str, Any] | None) -> tuple[Any, str, int | None]:
    """The builder of `datasets`, the name of its source in messages, and the number of rows that it states."""
    import datasets

    if isinstance(place, FilePlace):
        table = open_parquet(place.files)  # its error messages are plainer
        filled = [path for path in place.files if pq.read_metadata(path).num_rows]
        if not filled:
            raise UserError(f"{table.where} holds no images.")
        paths = [glob.escape(str(path.absolute())) for path in filled]  # paths are taken for patterns
        try:
            return datasets.load_dataset_builder("parquet", data_files={"train": paths}), table.where, table.count
        except Exception as error:
            raise _unopened(place, error) from error
    revision = place.revision if begun is None else begun["commit"]
    try:
        if place.revision == CONVERTED:
            files = {place.split: f"{place.config}/{place.split}/*.parquet"}
            builder = datasets.load_dataset_builder(place.hub_id, revision=revision, data_files=files)
        else:
            builder = datasets.load_dataset_builder(place.hub_id, place.config, revision=revision)
    except Exception as error:
        raise _unopened(place, error) from error
    stated = (builder.info.splits or {}).get(place.split)
    count = None if stated is None else stated.num_examples or None
    return builder, f"split {place.split!r} of {place.hub_id!r}", count


def _commit(place: HubPlace | FilePlace, builder: Any) -> str | None:
    """The commit of a repository that is read, so that a resumed stream reads the same; None for files."""
    return str(builder.hash) if isinstance(place, HubPlace) else None


def _unopened(place: HubPlace | FilePlace, error: Exception) -> UserError:
    if isinstance(place, HubPlace):
        return cannot_open(place.hub_id, place.config, place.split, place.looked, error)
    return UserError(f"{str(place.files[0])!r} cannot be read as Parquet: {error}; copy or write it anew.")


def _nothing(column: str) -> Any:
    raise AssertionError(f"nothing of {column} is read but by the stream")


class BatchImages(EncodedImages):
    """Images of one batch of a stream; messages name them by their rows in the whole stream."""

    def __init__(self, stream: Stream, batch: pa.Table, start: int) -> None:
        column = with_bytes(batch[stream.images])
        self._images = ColumnImages(len(column), lambda: column, where=stream.where, stamp=None, folder=stream.folder)
        self._start = start

    def __len__(self) -> int:
        return len(self._images)

    def encoded(self, rows: np.ndarray) -> list[Encoded]:
        return self._images.encoded(rows)

    def where(self, row: int) -> str:
        return self._images.where(self._start + int(row))

    def stamp(self) -> None:
        return None


def with_bytes(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column with bytes fetched for images that the repository holds as separate files, given by address."""
    if not pa.types.is_struct(column.type) or column.type.get_field_index("path") < 0:
        return column
    cells = column.to_pylist()
    if not any(_is_remote(cell) for cell in cells):
        return column
    read = [{**cell, "bytes": _read(cell["path"])} if _is_remote(cell) else cell for cell in cells]
    return pa.chunked_array([pa.array(read, column.type)])


def _is_remote(cell: dict[str, Any] | None) -> bool:
    return cell is not None and not cell.get("bytes") and "://" in (cell.get("path") or "")


def _read(address: str) -> bytes:
    """The bytes at an address; empty if there is no such file, which the decoder reports as no image."""
    import fsspec

    try:
        with fsspec.open(address, "rb") as file:
            content: Any = file
            return content.read()
    except FileNotFoundError:
        return b""
