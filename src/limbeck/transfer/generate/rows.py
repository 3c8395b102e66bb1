"""Where a repository's rows lie: in files that only grow, memory-mapped, or in memory and in the run's checkpoint.

`SegmentedRows`, of repositories whose oldest images leave, is a third way.

Rows are numbered as they come, 0, 1, ... A number that a checkpoint may still know is never given to another image, so
that the order of rows is that of age.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from limbeck.data.storage import DIGEST_BYTES, Storage, SubsetStorage, TensorStorage
from limbeck.errors import UserError
from limbeck.files import disk_errors

Columns = dict[str, np.ndarray]


@dataclass(frozen=True)
class Column:
    """A column, with an array of `shape` in each row."""

    dtype: np.dtype
    shape: tuple[int, ...] = ()

    @property
    def bytes(self) -> int:
        """Bytes of a row."""
        return self.dtype.itemsize * prod(self.shape)


@dataclass(frozen=True)
class Layout:
    """What is kept of an image.

    Args:
        shape: (C, H, W).
        num_classes: K.
        embedding: numbers of the teacher's embedding; 0 where it is not kept.
        losses: their names.
    """

    shape: tuple[int, int, int]
    num_classes: int
    embedding: int
    losses: tuple[str, ...]

    @cached_property
    def columns(self) -> dict[str, Column]:
        """Columns by name; `notes` holds all the small ones."""
        notes = [("round", "<i4"), ("call", "<i4"), ("wanted", "<i4"), ("label", "<i4"), ("view", "<i8")]
        notes += [("confidence", "<f4"), ("check", "<u4"), *((f"loss_{name}", "<f4") for name in self.losses)]
        return {
            "images": Column(np.dtype(np.uint8), self.shape),
            "digests": Column(np.dtype(np.uint8), (DIGEST_BYTES,)),
            "notes": Column(np.dtype(notes)),
            "logits": Column(np.dtype("<f4"), (self.num_classes,)),
            "embedding": Column(np.dtype("<f4"), (self.embedding,)),
        }

    @property
    def row_bytes(self) -> int:
        return sum(column.bytes for column in self.columns.values())


class Rows(ABC):
    """Interface: the columns of a repository, by row."""

    @abstractmethod
    def append(self, first: int, columns: Columns) -> None:
        """Writes rows `first`, `first` + 1, ...; what was there from `first` on is overwritten."""

    @abstractmethod
    def read(self, name: str, rows: np.ndarray) -> np.ndarray:
        """A column at `rows` (int64 [n], ascending), a copy [n, ...]."""

    @abstractmethod
    def storage(self, length: int, rows: np.ndarray) -> Storage:
        """The images at `rows` (int64 [n], ascending), of `length` rows in all."""

    @abstractmethod
    def removed(self, alive: np.ndarray, count: int) -> None:
        """Some rows left: `alive`, bool [length], says which are still there, and `count` how many."""

    @abstractmethod
    def pin(self, name: str, rows: np.ndarray) -> None:
        """`rows` (int64 [n], ascending) may be read again although they left, until `name` has pinned others twice."""

    @abstractmethod
    def state_dict(self, rows: np.ndarray) -> dict[str, Tensor]:
        """What the files do not hold of `rows` (int64 [n], ascending)."""

    @abstractmethod
    def load_state_dict(self, length: int, rows: np.ndarray, state: Mapping[str, Tensor]) -> None:
        """Restores `length` rows, of which `rows` are held.

        Raises:
            UserError: some of them are missing.
        """


class FileRows(Rows):
    """A file for each column, which only grows; images are memory-mapped and never copied.

    Args:
        folder: of its own.
        layout: of a row.
    """

    def __init__(self, folder: Path, layout: Layout) -> None:
        self._folder = folder
        self._layout = layout
        self._written = 0
        self._synced = 0
        self._maps: dict[str, np.ndarray] = {}

    def append(self, first: int, columns: Columns) -> None:
        with disk_errors(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            for name, column in self._layout.columns.items():
                if column.bytes:
                    _write(self._path(name), first * column.bytes, columns[name])
        self._written = first + len(columns["images"])
        self._synced = min(self._synced, first)

    def read(self, name: str, rows: np.ndarray) -> np.ndarray:
        return self._mapped(name)[rows]

    def storage(self, length: int, rows: np.ndarray) -> Storage:
        images, digests = (torch.from_numpy(self._mapped(name)[:length]) for name in ("images", "digests"))
        whole = TensorStorage(images, digests)
        return whole if len(rows) == length else SubsetStorage(whole, torch.from_numpy(rows))

    def removed(self, alive: np.ndarray, count: int) -> None:
        """They stay on disk, for a checkpoint from before they left."""

    def pin(self, name: str, rows: np.ndarray) -> None:
        """Nothing: all rows stay."""

    def state_dict(self, rows: np.ndarray) -> dict[str, Tensor]:
        # A checkpoint must not reach the disk before the rows that it knows.
        if self._synced < self._written:
            for name, column in self._layout.columns.items():
                if column.bytes:
                    _sync(self._path(name))
            self._synced = self._written
        return {}

    def load_state_dict(self, length: int, rows: np.ndarray, state: Mapping[str, Tensor]) -> None:
        self._maps, self._written, self._synced = {}, length, length
        for name, column in self._layout.columns.items():
            path, needed = self._path(name), length * column.bytes
            size = path.stat().st_size if path.is_file() else 0
            if size < needed:
                raise UserError(
                    f"{str(path)!r} must hold {needed:,} bytes, of the {length:,} images that the checkpoint knows, "
                    f"got {size:,}; bring the file back, or remove the run's folder to begin anew."
                )

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.bin"

    def _mapped(self, name: str) -> np.ndarray:
        """[at least as many rows as were written, ...], copy-on-write, as torch knows no read-only memory."""
        column = self._layout.columns[name]
        shape = (self._written, *column.shape)
        if not self._written or not column.bytes:
            return np.empty(shape, column.dtype)
        mapped = self._maps.get(name)
        if mapped is None or len(mapped) < self._written:
            opened = np.memmap(self._path(name), column.dtype, "c", shape=shape)
            mapped = self._maps[name] = np.asarray(opened)
        return mapped


class MemoryRows(Rows):
    """Columns in memory, for few rows that come and go; a checkpoint holds them whole.

    Args:
        layout: of a row.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._blocks: list[tuple[np.ndarray, Columns]] = []  # rows int64 [n], ascending, and what they hold

    def append(self, first: int, columns: Columns) -> None:
        rows = np.arange(first, first + len(columns["images"]))
        self._blocks.append((rows, {name: np.array(columns[name]) for name in self._layout.columns}))

    def read(self, name: str, rows: np.ndarray) -> np.ndarray:
        column = self._layout.columns[name]
        out = np.empty((len(rows), *column.shape), column.dtype)
        firsts = [int(block[0]) for block, _ in self._blocks]
        indices = np.searchsorted(firsts, rows, side="right") - 1
        for index in np.unique(indices).tolist():
            inside, (block, columns) = indices == index, self._blocks[index]
            out[inside] = columns[name][np.searchsorted(block, rows[inside])]
        return out

    def storage(self, length: int, rows: np.ndarray) -> Storage:
        return TensorStorage(*(torch.from_numpy(self.read(name, rows)) for name in ("images", "digests")))

    def removed(self, alive: np.ndarray, count: int) -> None:
        # Each row moves at most once for every one that left.
        if sum(len(rows) for rows, _ in self._blocks) > 2 * count:
            self._keep(np.concatenate([rows[alive[rows]] for rows, _ in self._blocks]))

    def pin(self, name: str, rows: np.ndarray) -> None:
        """Nothing: a state holds its rows itself."""

    def state_dict(self, rows: np.ndarray) -> dict[str, Tensor]:
        return {name: torch.from_numpy(as_bytes(self.read(name, rows))) for name in self._layout.columns}

    def load_state_dict(self, length: int, rows: np.ndarray, state: Mapping[str, Tensor]) -> None:
        columns: Columns = {}
        for name, column in self._layout.columns.items():
            packed = state[name].cpu().numpy() if name in state else np.empty((0, 0), np.uint8)
            if packed.shape != (len(rows), column.bytes):
                raise UserError(
                    f"the checkpoint must hold {name} of {len(rows):,} images, {column.bytes:,} bytes each, got "
                    f"{list(packed.shape)}; give the settings of the run it is of, or remove it to begin anew."
                )
            columns[name] = np.empty((len(rows), *column.shape), column.dtype)
            as_bytes(columns[name])[:] = packed
        self._blocks = [(rows, columns)] if len(rows) else []

    def _keep(self, rows: np.ndarray) -> None:
        columns = {name: self.read(name, rows) for name in self._layout.columns}
        self._blocks = [(rows, columns)] if len(rows) else []


def as_bytes(values: np.ndarray) -> np.ndarray:
    """The same memory, contiguous [n, ...], as uint8 [n, bytes of a row]: structured types are no tensors."""
    row = values.dtype.itemsize * prod(values.shape[1:])
    return values.reshape(-1).view(np.uint8).reshape(len(values), row)


def _write(path: Path, offset: int, values: np.ndarray) -> None:
    """Writes without a memory map, where a full disk would kill the process instead of raising an error."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
    try:
        content = as_bytes(values).tobytes()
        done = 0
        while done < len(content):
            done += os.pwrite(file, content[done:], offset + done)
    finally:
        os.close(file)


def _sync(path: Path) -> None:
    with path.open("r+b") as file, disk_errors(path):  # Windows syncs nothing that is open for reading alone
        os.fsync(file.fileno())
