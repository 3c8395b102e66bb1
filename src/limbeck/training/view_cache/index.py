"""Which row of a folder's files belongs to which image: `index.bin`, the hashes of the images, in order of their rows.

A row is never reused, so that processes may keep the rows they read. A damaged index loses rows but never mixes them
up: every entry's checksum starts from the hash of its image, see `file`.
"""

import fcntl
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

HASH_BYTES = 16
_NONE = np.zeros((0, HASH_BYTES), np.uint8)


class RowIndex:
    """Hash of an image -> row, in memory as far as the file was read; the cost of a look-up depends on its size alone.

    Args:
        path: of `index.bin`; created if it does not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity: tuple[int, int] | None = None  # of the file that was read, to notice if it was replaced
        self._hashes = _NONE  # uint8 [rows, 16], mapped
        # Sorted runs of (first halves of hashes uint64 [n], rows int64 [n]), each at least twice as long as the next.
        self._runs: list[tuple[np.ndarray, np.ndarray]] = []

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Inside, no other process appends to the index or extends the folder's other files.

        Raises:
            OSError: the index cannot be opened for writing.
        """
        self._file = self._open_locked()
        try:
            self._read_on()
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)  # closing is not enough: the memory map holds the open file, too
            os.close(self._file)

    def _open_locked(self) -> int:
        while True:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file).st_nlink:
                return file
            os.close(file)  # deleted while this process waited

    def rows(self, hashes: np.ndarray) -> tuple[np.ndarray, OSError | None]:
        """The row of each image; new images get a new row, equal hashes the same one. Call it inside `locked`.

        Args:
            hashes: uint8 [N, 16].

        Returns:
            int64 [N], and None; or, where the disk is full, -1 for new images, and the error.
        """
        rows = self._find(hashes)
        new = np.flatnonzero(rows < 0)
        if not len(new):
            return rows, None
        _, first, inverse = np.unique(_whole(hashes[new]), return_index=True, return_inverse=True)
        order = first.argsort()  # of the distinct ones, by first appearance
        count = len(self._hashes)
        try:
            self._append(hashes[new[first[order]]])
        except OSError as error:
            return rows, error
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        rows[new] = count + rank[inverse.reshape(-1)]
        return rows, None

    def _append(self, hashes: np.ndarray) -> None:
        """Writes uint8 [n, 16] after the complete hashes, overwriting an incomplete last one if there is any."""
        content = hashes.tobytes()
        if os.pwrite(self._file, content, len(self._hashes) * HASH_BYTES) != len(content):
            raise OSError("the index was written in part")
        self._read_on()

    def _read_on(self) -> None:
        """Reads what was appended since; an incomplete last hash is ignored."""
        stat = os.fstat(self._file)
        count, before = stat.st_size // HASH_BYTES, len(self._hashes)
        if self._identity != (stat.st_dev, stat.st_ino) or count < before:
            self._identity, self._hashes, self._runs, before = (stat.st_dev, stat.st_ino), _NONE, [], 0
        if count > before:
            mapped = mmap.mmap(self._file, count * HASH_BYTES, access=mmap.ACCESS_READ)
            self._hashes = np.frombuffer(mapped, np.uint8).reshape(-1, HASH_BYTES)
            self._add_run(_first_halves(self._hashes[before:]), np.arange(before, count))

    def _add_run(self, keys: np.ndarray, rows: np.ndarray) -> None:
        order = keys.argsort(kind="stable")
        self._runs.append((keys[order], rows[order]))
        while len(self._runs) > 1 and len(self._runs[-2][0]) < 2 * len(self._runs[-1][0]):
            (keys, rows), (more_keys, more_rows) = self._runs[-2:]
            del self._runs[-2:]
            keys, rows = np.concatenate([keys, more_keys]), np.concatenate([rows, more_rows])
            order = keys.argsort(kind="stable")
            self._runs.append((keys[order], rows[order]))

    def _find(self, hashes: np.ndarray) -> np.ndarray:
        """Rows int64 [N], -1 where there is none."""
        keys = _first_halves(hashes)
        rows = np.full(len(keys), -1)
        for run_keys, run_rows in self._runs:
            # Of equal hashes the last row counts, within and across runs: earlier ones were damaged after being read.
            place = (run_keys.searchsorted(keys, side="right") - 1).clip(min=0)
            hit = run_keys[place] == keys
            rows[hit] = run_rows[place[hit]]
        # Rows were found by the first half of a hash; compare the whole hash in the file.
        hits = np.flatnonzero(rows >= 0)
        rows[hits[(self._hashes[rows[hits]] != hashes[hits]).any(axis=1)]] = -1
        return rows


def _first_halves(hashes: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(hashes).view("<u8")[:, 0].copy()


def _whole(hashes: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(hashes).view(np.dtype((np.void, HASH_BYTES)))[:, 0]
