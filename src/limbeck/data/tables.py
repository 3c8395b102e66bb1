"""Parquet files and tables of `datasets`: which column is the image, which the label, and how to open them."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from limbeck.data.cache import cache_key
from limbeck.data.caches import cache_folder
from limbeck.data.cells import ColumnCells, file_stamps
from limbeck.data.source import Source, encode_labels
from limbeck.errors import UserError
from limbeck.files import atomic_path

_IMAGE_NAMES = ("image", "img", "images", "pixels", "jpg", "png")
_LABEL_NAMES = ("label", "labels", "fine_label", "class", "target", "y")
_MAP_FROM = 2**30
"""Bytes of Parquet from which its images are first copied to an uncompressed Arrow file and memory-mapped."""


@dataclass(frozen=True)
class Table:
    """A table that is not read yet.

    Args:
        schema: its columns.
        features: feature of each column as `datasets` writes it ({"_type": "Image"} ...), where known.
        count: number of rows.
        read: column name -> its values.
        distinct: column name -> its distinct values over all splits, so that string labels are numbered alike in each.
        where: what to call it in messages.
        stamp: identity of its content, or None.
        folder: what relative paths in it are relative to.
    """

    schema: pa.Schema
    features: Mapping[str, Any]
    count: int
    read: Callable[[str], pa.ChunkedArray]
    distinct: Callable[[str], set[Any]]
    where: str
    stamp: list[object] | None = None
    folder: Path = Path()


def open_parquet(files: Sequence[Path], *, siblings: Sequence[Path] = (), mapped: bool = False) -> Table:
    """The rows of one or several Parquet files, in the order given.

    Args:
        files: at least one; all with the columns of the first.
        siblings: files of the other splits.
        mapped: keep the encoded images in a memory-mapped file even if they are few.

    Raises:
        UserError: a file is not Parquet, or lacks a column of the first.
    """
    paths = [str(path) for path in files]
    where = repr(paths[0]) if len(paths) == 1 else f"{paths[0]!r} and {len(paths) - 1} more"
    try:
        parts = [pq.ParquetFile(path) for path in paths]
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{where} cannot be read as Parquet: {error}.") from error
    schema = parts[0].schema_arrow
    for path, part in zip(paths, parts, strict=True):
        if part.schema_arrow.names != schema.names:
            raise UserError(f"{path!r} has columns {part.schema_arrow.names}, {paths[0]!r} has {schema.names}.")
    stamp = file_stamps(files)
    mapped = mapped or sum(path.stat().st_size for path in files) > _MAP_FROM

    def read(column: str) -> pa.ChunkedArray:
        if mapped and not pa.types.is_primitive(schema.field(column).type):
            return _mapped_column(parts, column, cache_key(stamp, column))
        return pa.chunked_array([chunk for part in parts for chunk in part.read([column])[column].chunks])

    def distinct(column: str) -> set[Any]:
        columns = [pq.read_table(path, columns=[column])[column] for path in (*files, *siblings)]
        return {value for values in columns for value in values.unique().to_pylist()}

    return Table(
        schema=schema,
        features=_features(schema),
        count=sum(part.metadata.num_rows for part in parts),
        read=read,
        distinct=distinct,
        where=where,
        stamp=stamp,
        folder=files[0].parent,
    )


def table_source(
    table: Table,
    *,
    image_column: str | None = None,
    label_column: str | None = None,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
) -> Source:
    """The images and labels of `table`; columns that are not named are found by feature, then by name.

    Raises:
        UserError: a named column is missing, none looks like images, or see `encode_labels`.
    """
    image = _column(table, "image_column", image_column, "Image", _IMAGE_NAMES)
    if image is None:
        raise UserError(
            f"`image_column` must be named: no column of {table.where} looks like images; it has "
            f"{', '.join(table.schema.names)}."
        )
    label = _column(table, "label_column", label_column, "ClassLabel", _LABEL_NAMES)
    labels, names = None, ()
    if label is not None:
        stored = _feature(table, label).get("names")
        if stored is None and _is_text(table.schema.field(label).type):
            stored = sorted(value for value in table.distinct(label) if value is not None)
        where = f"labels in column {label!r} of {table.where}"
        labels, names = encode_labels(table.read(label).to_pylist(), stored, where)
    cells = ColumnCells(
        table.count,
        lambda: table.read(image),
        where=table.where,
        stamp=None if table.stamp is None else [*table.stamp, image],
        folder=table.folder,
    )
    return Source(cells, labels, names, size=size, channels=channels)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _column(table: Table, argument: str, named: str | None, kind: str, usual: Sequence[str]) -> str | None:
    if named is not None:
        if named not in table.schema.names:
            raise UserError(
                f"`{argument}` must be a column of {table.where}, got {named!r}; "
                f"it has {', '.join(table.schema.names)}."
            )
        return named
    typed = [name for name in table.schema.names if _feature(table, name).get("_type") == kind]
    if len(typed) == 1:
        return typed[0]
    return next((name for name in usual if name in table.schema.names), None)


def _feature(table: Table, column: str) -> Mapping[str, Any]:
    feature = table.features.get(column)
    return feature if isinstance(feature, Mapping) else {}


def _features(schema: pa.Schema) -> Mapping[str, Any]:
    stored = (schema.metadata or {}).get(b"huggingface")
    return json.loads(stored).get("info", {}).get("features", {}) if stored else {}


def _mapped_column(parts: Sequence[pq.ParquetFile], column: str, key: str) -> pa.ChunkedArray:
    """The column from an Arrow file in the cache folder, written the first time: rows of Parquet cannot be reached
    without unpacking their neighbours, rows of Arrow on a memory map can."""
    path = cache_folder() / "arrow" / f"{key}.arrow"
    if not path.exists():
        with atomic_path(path) as temporary, pa.OSFile(str(temporary), "wb") as sink:
            schema = pa.schema([parts[0].schema_arrow.field(column)])
            with pa.ipc.new_file(sink, schema) as writer:
                for part in parts:
                    for batch in part.iter_batches(batch_size=1024, columns=[column]):
                        writer.write_batch(batch)
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()[column]
