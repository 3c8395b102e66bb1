"""Encoded images by row number, wherever they are: a column of a table, or files."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from limbeck.data.encoded.decode import Encoded
from limbeck.data.labels import is_list
from limbeck.errors import UserError


class EncodedImages(ABC):
    """A sequence of encoded images."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def encoded(self, rows: np.ndarray) -> Sequence[Encoded]:
        """The images `rows` (int64 [B]) as they are stored: in memory if a list, else read one by one on access."""

    @abstractmethod
    def where(self, row: int) -> str:
        """What to call an image in a message: its file, or its row and table."""

    @abstractmethod
    def stamp(self) -> list[object] | None:
        """JSON-able identity of the content (paths, sizes, times), or None where none is available."""


class FileImages(EncodedImages):
    """One image file each."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    def encoded(self, rows: np.ndarray) -> list[Encoded]:
        return [self._paths[row] for row in rows]

    def where(self, row: int) -> str:
        return repr(str(self._paths[row]))

    def stamp(self) -> list[object]:
        return file_stamps(self._paths)


class ArrayImages(EncodedImages):
    """Images decoded already, all of one shape: uint8 [N, H, W] or [N, H, W, C]."""

    def __init__(self, images: np.ndarray, where: str) -> None:
        self._images = images
        self._where = where

    def __len__(self) -> int:
        return len(self._images)

    def encoded(self, rows: np.ndarray) -> list[Encoded]:
        return list(self._images[rows])

    def where(self, row: int) -> str:
        return f"image {row} of {self._where}"

    def stamp(self) -> None:
        return None


class ColumnImages(EncodedImages):
    """A column of an Arrow table: structs {bytes, path} (the `Image` of `datasets`), binary, paths, or nested lists;
    lists of one such image, too.

    Args:
        count: number of rows.
        read: opens the column; called once, when the first image is asked for.
        where: name of the table in messages.
        stamp: see `EncodedImages.stamp`.
        folder: what relative paths in the column are relative to.
    """

    def __init__(
        self,
        count: int,
        read: Callable[[], pa.ChunkedArray],
        *,
        where: str,
        stamp: list[object] | None,
        folder: Path = Path(),
    ) -> None:
        self._count = count
        self._read = read
        self._where = where
        self._stamp = stamp
        self._folder = folder

    @cached_property
    def _column(self) -> pa.ChunkedArray:
        column = self._read()
        kind = image_type([column.type], self._where)
        if isinstance(column.type, pa.BaseExtensionType):  # the array features of `datasets`
            column = pa.chunked_array([chunk.storage for chunk in column.chunks], column.type.storage_type)
        if len(column) != self._count:
            raise UserError(
                f"{self._where} must hold {self._count} images, as it states, got {len(column)}; it is damaged."
            )
        return column if column.type == kind else column.cast(kind)

    def __len__(self) -> int:
        return self._count

    def encoded(self, rows: np.ndarray) -> list[Encoded]:
        cells = self._column.take(pa.array(rows)).to_pylist()
        return [self._encoded(cell, row) for cell, row in zip(cells, rows, strict=True)]

    def where(self, row: int) -> str:
        return f"row {row} of {self._where}"

    def stamp(self) -> list[object] | None:
        return self._stamp

    @cached_property
    def _pixel_type(self) -> np.dtype | None:
        """Type of the numbers in nested lists: 16-bit images are told from 8-bit ones by the type of the column, not by
        their values. None where the column holds no numbers."""
        kind = _innermost(self._column.type)
        return np.dtype(kind.to_pandas_dtype()) if _is_pixel(kind) else None

    def _encoded(self, cell: object, row: int) -> Encoded:
        if isinstance(cell, dict):
            cell = cell.get("bytes") or cell.get("path")
        if isinstance(cell, list):
            if self._pixel_type is not None:
                return _pixels(cell, self._pixel_type)
            if not cell:
                return b""
            if len(cell) != 1:
                raise UserError(
                    f"{self.where(row)} must hold one image, got a list of {len(cell)}; write one row for each image."
                )
            return self._encoded(cell[0], row)
        if isinstance(cell, str):
            return self._folder / cell
        # An empty cell has no image; empty bytes make the decoder say so.
        return cell if isinstance(cell, bytes) else b""


def image_type(kinds: Sequence[pa.DataType], where: str) -> pa.DataType:
    """The one type in which columns of images of the types `kinds`, at least one, can be read together.

    Raises:
        UserError: a type that holds no images, or types without a common one.
    """
    plain = {_plain_type(kind) for kind in kinds}
    for kind in kinds:
        if not _holds_images(_plain_type(kind)):
            raise UserError(
                f"the images of {where} must be bytes or paths of image files, structs with `bytes` or `path`, or "
                f"nested lists of numbers, got {kind}; name another column with `image_column`."
            )
    if len(plain) > 1:
        plain.discard(pa.null())
    if len(plain) == 1:
        return plain.pop()
    for common, is_kind in (pa.large_binary(), _is_binary), (pa.large_string(), _is_string):
        if all(map(is_kind, plain)):
            return common
    if all(map(pa.types.is_struct, plain)):
        schemas = [pa.schema([("image", kind)]) for kind in plain]
        with suppress(pa.ArrowException):
            return pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    raise UserError(
        f"the images of {where} are of several types, {' and '.join(sorted(map(str, plain)))}; write all files with "
        "one."
    )


def names_files(kind: pa.DataType) -> bool:
    """Whether a column of images of that type may hold paths of files that lie elsewhere."""
    inside = _innermost(kind)
    return _is_string(inside) or (pa.types.is_struct(inside) and inside.get_field_index("path") >= 0)


def named_files(column: pa.ChunkedArray) -> list[str]:
    """The paths in a column of images (see `image_type`) that has no bytes beside them."""
    paths: list[str] = []
    for chunk in column.chunks if names_files(column.type) else ():
        cells: Any = chunk
        while is_list(cells.type):
            cells = cells.flatten()
        if pa.types.is_struct(cells.type):
            if cells.type.get_field_index("bytes") >= 0:
                held = cells.field("bytes").cast(pa.large_binary())
                sizes = pc.call_function("binary_length", [held]).fill_null(0)
                cells = cells.filter(pc.call_function("equal", [sizes, 0]))
            cells = cells.field("path")
        paths += cells.drop_null().to_pylist()
    return paths


def _plain_type(kind: Any) -> pa.DataType:
    """The type without extension types, dictionaries and views, whose rows Arrow cannot take."""
    if isinstance(kind, pa.BaseExtensionType):
        return _plain_type(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return _plain_type(kind.value_type)
    if pa.types.is_string_view(kind):
        return pa.large_string()
    if pa.types.is_binary_view(kind):
        return pa.large_binary()
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_plain_type(field.type)) for field in kind])
    if is_list(kind) and not _is_pixel(_innermost(kind)):
        return pa.large_list(_plain_type(kind.value_type))
    return kind


def _holds_images(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return any(field.name in ("bytes", "path") for field in kind)
    if is_list(kind):
        return _is_pixel(_innermost(kind)) or _holds_images(kind.value_type)
    return _is_binary(kind) or _is_string(kind) or pa.types.is_null(kind)


def _is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)


def _is_string(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _is_pixel(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)


def _innermost(kind: Any) -> pa.DataType:
    """The type of the elements of nested lists."""
    return _innermost(kind.value_type) if is_list(kind) else kind


def _pixels(cell: list[Any], kind: np.dtype) -> np.ndarray:
    try:
        return np.array(cell, dtype=kind)
    except (TypeError, ValueError, OverflowError):
        return np.empty(0, dtype=object)  # ragged, or a value is missing; the decoder reports it


def file_stamps(paths: Sequence[Path]) -> list[object]:
    """[path, bytes, modification time, change time in ns] of every file; only the path where the file is missing.

    The change time tells files apart that were replaced by others of their size and modification time, as by `cp -p`;
    a file that is copied or moved gets a new one, too.
    """
    return [[str(path.absolute()), *_size_and_times(path)] for path in paths]


def _size_and_times(path: Path) -> list[int]:
    try:
        status = path.stat()
    except (OSError, ValueError):  # a broken link, or not a path at all: the decoder reports it
        return []
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]
