"""Parquet files and tables of `datasets`: which column is the image, which the label, and how to open them."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from limbeck.caching import cache_folder, cache_key
from limbeck.data.encoded.encoded_set import EncodedSet
from limbeck.data.encoded.images import ColumnImages, file_stamps, image_type, named_files, names_files
from limbeck.data.labels import LabelColumn, encode_labels
from limbeck.errors import UserError
from limbeck.files import atomic_path

_IMAGE_NAMES = ("image", "img", "images", "pixels", "jpg", "png", "pixel_values")
LABEL_NAMES = ("label", "labels", "fine_label", "class", "target", "y")
_MAP_FROM = 2**30
"""Bytes of Parquet above which the images are first copied to an uncompressed Arrow file and memory-mapped."""


@dataclass(frozen=True)
class ImageTable:
    """A table that is not read yet.

    Args:
        schema: its columns.
        features: feature of each column as `datasets` writes it ({"_type": "Image"} ...), where known.
        count: number of rows.
        read: column name -> its values.
        labels: column name -> its values as labels, file by file.
        other_labels: the same for the other splits, whose classes are numbered together with these; splits without the
            column are left out.
        where: what to call it in messages.
        stamp: identity of its content, or None.
        folder: what relative paths in it are relative to.
        files: column of images -> paths of the image files that it names instead of holding bytes.
    """

    schema: pa.Schema
    features: Mapping[str, Any]
    count: int
    read: Callable[[str], pa.ChunkedArray]
    labels: Callable[[str], list[LabelColumn]]
    other_labels: Callable[[str], list[LabelColumn]]
    where: str
    stamp: list[object] | None = None
    folder: Path = Path()
    files: Callable[[str], Sequence[str]] = lambda column: ()


def open_parquet(files: Sequence[Path], *, siblings: Sequence[Path] = (), mapped: bool = False) -> ImageTable:
    """The rows of one or several Parquet files, in the order given.

    Args:
        files: at least one; all with the same columns, in any order; files without rows are ignored.
        siblings: files of the other splits.
        mapped: keep the encoded images in a memory-mapped file even if they are few.

    Raises:
        UserError: a file is not Parquet, or lacks a column of the first.
    """
    paths = [str(path) for path in files]
    where = repr(paths[0]) if len(paths) == 1 else f"{paths[0]!r} and {len(paths) - 1} more"
    opened = [(path, _open(Path(path))) for path in paths]
    filled = [(path, part) for path, part in opened if part.metadata.num_rows] or opened[:1]
    parts = [part for _, part in filled]
    schema = parts[0].schema_arrow
    _check_same_columns(filled)
    stamp = file_stamps(files)
    mapped = mapped or sum(path.stat().st_size for path in files) > _MAP_FROM

    def read(column: str) -> pa.ChunkedArray:
        kind = image_type([part.schema_arrow.field(column).type for part in parts], where)
        with _arrow_errors(where):
            if mapped and not pa.types.is_primitive(kind):
                return _mapped_column(parts, column, kind, cache_key(stamp, column))
            chunks = [chunk.cast(kind) for part in parts for chunk in part.read([column])[column].chunks]
            return pa.chunked_array(chunks, kind)

    return ImageTable(
        schema=schema,
        features=features_of(schema, where),
        count=sum(part.metadata.num_rows for part in parts),
        read=read,
        labels=lambda column: [_label_column(path, part, column) for path, part in filled],
        other_labels=lambda column: [
            _label_column(str(path), part, column)
            for path in siblings
            if column in (part := _open(path)).schema_arrow.names and part.metadata.num_rows
        ],
        where=where,
        stamp=stamp,
        folder=files[0].parent,
        files=lambda column: _named_files(parts, column, where),
    )


def _check_same_columns(files: Sequence[tuple[str, pq.ParquetFile]]) -> None:
    """Raises a UserError where a file (path, opened) has other columns than the first."""
    first, names = files[0][0], files[0][1].schema_arrow.names
    for path, part in files:
        if sorted(part.schema_arrow.names) != sorted(names):
            raise UserError(
                f"{path!r} has columns {part.schema_arrow.names}, {first!r} has {names}; files of one "
                "split must have the same."
            )


def read_table(
    table: ImageTable,
    *,
    image_column: str | None = None,
    label_column: str | None = None,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    labelled: bool = True,
) -> EncodedSet:
    """The images of `table`, and its labels if `labelled`; columns that are not given are found by feature, then by
    name.

    Raises:
        UserError: a named column is missing, none looks like images, or see `encode_labels`.
    """
    image = find_images(table, image_column)
    label = find_labels(table, label_column) if labelled else None
    labels, names = None, ()
    if label is not None and table.count > 0:
        where = f"labels in column {label!r} of {table.where}"
        labels, names = encode_labels(table.labels(label), lambda: table.other_labels(label), where)
        if labels is not None and len(labels) != table.count:
            raise UserError(
                f"{where} must be {table.count}, as many as it states rows, got {len(labels)}; it is damaged."
            )
    images = ColumnImages(
        table.count,
        lambda: table.read(image),
        where=table.where,
        stamp=None if table.stamp is None else [*table.stamp, image, *stamps_of_named(table, image)],
        folder=table.folder,
    )
    return EncodedSet(images, labels, names, size=size, channels=channels)


def stamps_of_named(table: ImageTable, column: str) -> list[object]:
    """Stamps of the files that a column of images names: they may change while the table does not."""
    return file_stamps([table.folder / path for path in dict.fromkeys(table.files(column))])


def if_there(column: str | None, table: ImageTable) -> str | None:
    """The catalogue's column, or None if an uploader has renamed it since: it is then found by its feature."""
    return column if column in table.schema.names else None


def find_images(table: ImageTable, named: str | None = None) -> str:
    """The column of images, which is `named`, or found by feature, then by name.

    Raises:
        UserError: there is none, or it holds something else.
    """
    column = _column(table, "image_column", named, "Image", _IMAGE_NAMES)
    if column is None:
        raise UserError(
            f"`image_column` must be named: no column of {table.where} looks like images; it has "
            f"{', '.join(table.schema.names)}."
        )
    image_type([table.schema.field(column).type], table.where)
    return column


def find_labels(table: ImageTable, named: str | None = None) -> str | None:
    """The column of labels, which is `named`, or found by feature, then by name; None where there is none.

    Raises:
        UserError: the named one is missing, or there are several of that name.
    """
    return _column(table, "label_column", named, "ClassLabel", LABEL_NAMES)


def _column(table: ImageTable, argument: str, named: str | None, kind: str, usual: Sequence[str]) -> str | None:
    column = _found(table, argument, named, kind, usual)
    if column is not None and table.schema.names.count(column) > 1:
        raise UserError(f"`{argument}` {column!r} must be one column of {table.where}, which has several of that name.")
    return column


def _found(table: ImageTable, argument: str, named: str | None, kind: str, usual: Sequence[str]) -> str | None:
    if named is not None:
        if named not in table.schema.names:
            raise UserError(
                f"`{argument}` must be a column of {table.where}, got {named!r}; "
                f"it has {', '.join(table.schema.names)}."
            )
        return named
    typed = [name for name in table.schema.names if _feature(table.features, name).get("_type") == kind]
    if len(typed) == 1:
        return typed[0]
    return next((name for name in usual if name in table.schema.names), None)


def _feature(features: Mapping[str, Any], column: str) -> Mapping[str, Any]:
    feature = features.get(column)
    return feature if isinstance(feature, Mapping) else {}


def features_of(schema: pa.Schema, where: str) -> Mapping[str, Any]:
    stored = (schema.metadata or {}).get(b"huggingface")
    if not stored:
        return {}
    try:
        return (json.loads(stored).get("info") or {}).get("features") or {}
    except (ValueError, AttributeError) as error:
        raise UserError(
            f"what `datasets` keeps about the columns of {where} cannot be read ({type(error).__name__}: {error}), and "
            "class names would be lost; write the file again, without its `huggingface` metadata if need be."
        ) from error


def stated_names(features: Mapping[str, Any], column: str) -> tuple[str, ...] | None:
    """The class names that `datasets` stores for a column, if any; for a list, those of its elements."""
    feature = _feature(features, column)
    while isinstance(inner := feature.get("feature"), Mapping):
        feature = inner
    names = feature.get("names")
    return None if names is None else tuple(map(str, names))


def _open(path: Path) -> pq.ParquetFile:
    with _arrow_errors(repr(str(path))):
        part = pq.ParquetFile(path)
        _ = part.schema_arrow  # read lazily, and may be what is damaged
        return part


def _label_column(path: str, part: pq.ParquetFile, column: str) -> LabelColumn:
    names = stated_names(features_of(part.schema_arrow, repr(path)), column)
    with _arrow_errors(repr(path)):
        return LabelColumn(part.read([column])[column], f"labels in column {column!r} of {path!r}", names)


def _named_files(parts: Sequence[pq.ParquetFile], column: str, where: str) -> list[str]:
    """Paths of the files that a column names, found without reading images that are in the table itself."""
    kind, paths = image_type([part.schema_arrow.field(column).type for part in parts], where), []
    for part in parts if names_files(kind) else ():
        if _holds_all_bytes(part, column):
            continue
        with _arrow_errors(where):
            for batch in part.iter_batches(batch_size=1024, columns=[column]):
                paths += named_files(pa.chunked_array([batch.column(0).cast(kind)]))
    return paths


def _holds_all_bytes(part: pq.ParquetFile, column: str) -> bool:
    """Whether the file's statistics say that no image of the column lacks its bytes."""
    metadata = part.metadata
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    chunks = [group.column(place) for group in groups for place in range(group.num_columns)]
    inside = [chunk for chunk in chunks if chunk.path_in_schema.startswith(f"{column}.")]
    stats = [chunk.statistics for chunk in inside if chunk.path_in_schema.endswith(".bytes")]
    return bool(stats) and all(stat is not None and stat.has_null_count and stat.null_count == 0 for stat in stats)


@contextmanager
def _arrow_errors(where: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{where} cannot be read as Parquet: {str(error).rstrip('.')}; copy or write it anew."
        ) from error


def _mapped_column(parts: Sequence[pq.ParquetFile], column: str, kind: pa.DataType, key: str) -> pa.ChunkedArray:
    """The column from an Arrow file in the cache folder, written the first time: a row of Parquet cannot be read
    without unpacking its neighbours, a row of a memory-mapped Arrow file can."""
    path = cache_folder() / "arrow" / f"{key}.arrow"
    if not path.exists():
        with atomic_path(path) as temporary, pa.OSFile(str(temporary), "wb") as sink:
            schema = pa.schema([(column, kind)])
            with pa.ipc.new_file(sink, schema) as writer:
                for part in parts:
                    for batch in part.iter_batches(batch_size=1024, columns=[column]):
                        writer.write_batch(pa.record_batch([batch.column(0).cast(kind)], schema=schema))
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()[column]
