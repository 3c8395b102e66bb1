"""Rows of a repository whose oldest images leave: in files of so many rows each, removed once nobody needs them."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from limbeck.data.joined import JoinedStorage
from limbeck.data.storage import Storage, TensorStorage
from limbeck.transfer.generate.rows import Columns, FileRows, Layout, Rows

_STATES = 2  # the one on disk, and the one that may be about to replace it


class SegmentedRows(Rows):
    """Row r lies in segment r // `size`, a folder with a file for each column, see `FileRows`.

    A segment leaves the disk once none of its rows is held, nor was held at one of the last two pins of any name. So
    disk holds what is held, what those states hold, and the rest of the segments that these begin and end in.

    Args:
        folder: of its own.
        layout: of a row.
        size: rows of a segment.
    """

    def __init__(self, folder: Path, layout: Layout, size: int) -> None:
        self._folder = folder
        self._layout = layout
        self._size = size
        self._segments: dict[int, FileRows] = {}
        self._pins: dict[str, list[frozenset[int]]] = {}  # numbers of the segments that states need, by name

    def append(self, first: int, columns: Columns) -> None:
        rows = np.arange(first, first + len(columns["images"]))
        for number, place in self._parts(rows):
            part = {name: values[place] for name, values in columns.items()}
            self._segment(number).append(int(rows[place][0]) - number * self._size, part)

    def read(self, name: str, rows: np.ndarray) -> np.ndarray:
        column = self._layout.columns[name]
        parts = [self._segment(number).read(name, self._within(rows[place])) for number, place in self._parts(rows)]
        return np.concatenate(parts) if parts else np.empty((0, *column.shape), column.dtype)

    def storage(self, length: int, rows: np.ndarray) -> Storage:
        if not len(rows):
            return TensorStorage(torch.empty(0, *self._layout.shape, dtype=torch.uint8))
        numbers, places = np.unique(rows // self._size, return_inverse=True)
        ends = [min(self._size, length - number * self._size) for number in numbers.tolist()]
        parts = [
            self._segment(number).storage(end, np.arange(end))
            for number, end in zip(numbers.tolist(), ends, strict=True)
        ]
        return JoinedStorage(parts, torch.from_numpy(places), torch.from_numpy(self._within(rows)))

    def removed(self, alive: np.ndarray, count: int) -> None:
        needed = frozenset[int]().union(*(segments for states in self._pins.values() for segments in states))
        for number in self._on_disk():
            first = number * self._size
            if number not in needed and not alive[first : first + self._size].any():
                self._segments.pop(number, None)
                # What does not go now, as where another process has it open, goes the next time.
                shutil.rmtree(self._path(number), ignore_errors=True)

    def pin(self, name: str, rows: np.ndarray) -> None:
        segments = frozenset((rows // self._size).tolist())
        self._pins[name] = [*self._pins.get(name, []), segments][-_STATES:]

    def state_dict(self, rows: np.ndarray) -> dict[str, Tensor]:
        for number in np.unique(rows // self._size).tolist():
            self._segment(number).state_dict(rows)
        return {}

    def load_state_dict(self, length: int, rows: np.ndarray, state: Mapping[str, Tensor]) -> None:
        self._segments = {}
        for number in np.unique(rows // self._size).tolist():
            self._segment(number).load_state_dict(min(self._size, length - number * self._size), rows, state)

    def _parts(self, rows: np.ndarray) -> Iterator[tuple[int, slice]]:
        """Numbers of the segments that ascending rows lie in, and where in `rows` theirs are."""
        numbers, starts = np.unique(rows // self._size, return_index=True)
        ends = np.append(starts, len(rows))[1:]
        for number, start, end in zip(numbers.tolist(), starts.tolist(), ends.tolist(), strict=True):
            yield number, slice(start, end)

    def _within(self, rows: np.ndarray) -> np.ndarray:
        return rows % self._size

    def _segment(self, number: int) -> FileRows:
        if number not in self._segments:
            self._segments[number] = FileRows(self._path(number), self._layout)
        return self._segments[number]

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:08d}"

    def _on_disk(self) -> list[int]:
        names = [path.name for path in self._folder.iterdir()] if self._folder.is_dir() else []
        return [int(name) for name in names if name.isdecimal()]
