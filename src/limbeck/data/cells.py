"""Encoded images by row number, wherever they are: a column of a table, or files."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from limbeck.data.decode import Encoded


class Cells(ABC):
    """A sequence of encoded images."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def encoded(self, rows: np.ndarray) -> list[Encoded]:
        """The cells `rows` (int64 [B]) as they are stored."""

    @abstractmethod
    def where(self, row: int) -> str:
        """What to call a cell in a message: its file, or its row and table."""

    @abstractmethod
    def stamp(self) -> list[object] | None:
        """Json-able identity of the content (paths, sizes, times), or None where there is none to be had."""


class FileCells(Cells):
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


class ArrayCells(Cells):
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


class ColumnCells(Cells):
    """A column of an Arrow table: structs {bytes, path} (the `Image` of `datasets`), binary, paths, or nested lists.

    Args:
        count: number of rows.
        read: opens the column; called once, when the first image is asked for.
        where: name of the table in messages.
        stamp: see `Cells.stamp`.
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
        if isinstance(column.type, pa.BaseExtensionType):  # the array features of `datasets`
            return pa.chunked_array([chunk.storage for chunk in column.chunks], column.type.storage_type)
        return column

    def __len__(self) -> int:
        return self._count

    def encoded(self, rows: np.ndarray) -> list[Encoded]:
        return [self._encoded(cell) for cell in self._column.take(pa.array(rows)).to_pylist()]

    def where(self, row: int) -> str:
        return f"row {row} of {self._where}"

    def stamp(self) -> list[object] | None:
        return self._stamp

    @cached_property
    def _pixel_type(self) -> np.dtype:
        """Of nested lists: 16-bit images are told from 8-bit ones by the type of the column, not by their values."""
        kind = self._column.type
        while pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
            kind = kind.value_type
        return np.dtype(kind.to_pandas_dtype())

    def _encoded(self, cell: object) -> Encoded:
        if isinstance(cell, dict):
            cell = cell.get("bytes") or cell.get("path")
        if isinstance(cell, str):
            return self._folder / cell
        if isinstance(cell, list):
            return np.array(cell, dtype=self._pixel_type)
        # An empty cell has no image; empty bytes make the decoder say so.
        return cell if isinstance(cell, bytes) else b""


def file_stamps(paths: Sequence[Path]) -> list[object]:
    """[path, bytes, modification time in ns] of every file."""
    stamps: list[object] = []
    for path in paths:
        status = path.stat()
        stamps.append([str(path.absolute()), status.st_size, status.st_mtime_ns])
    return stamps
