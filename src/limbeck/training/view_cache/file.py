"""Outputs of fixed size in one file: written when they are computed, checked whenever they are read.

Every entry consists of values and a checksum, which starts from the owner of the entry (an image and a view) and covers
the values. So entries that a crash cut short, a disk lost, another program overwrote, or that belong to another image
read as unknown, like those never written. The file is sparse: it takes only the space of written entries. Any number of
processes may read and write it at once; where two write the same entry, they write the same bytes, or the checksum
fails.
"""

import mmap
import os
import zlib
from pathlib import Path

import numpy as np
from torch import Tensor

from limbeck.training.view_cache.codecs import Codec

CHECK = np.dtype("<u4")
_AT_ONCE = 2**30  # bytes read in one call from a file in memory; the system allows 2^31 at most


class EntryFile:
    """Entries of one codec in one file, as many as were ever reserved.

    Args:
        path: created if it does not exist.
        codec: of the values.

    Raises:
        OSError: it cannot be opened for writing.
    """

    def __init__(self, path: Path, codec: Codec) -> None:
        self.codec = codec
        self.record = codec.size + CHECK.itemsize  # bytes
        self._path = path
        self._entries = 0
        self._open()

    def _open(self) -> None:
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        self._in_memory = in_memory(self._file)
        self._records = np.zeros((0, self.record), np.uint8)

    def reserve(self, entries: int) -> None:
        """Makes room for entries 0..`entries` - 1; the file never shrinks.

        The caller must hold the folder's lock: if two processes extend the file at once, one could truncate it.
        """
        self._entries = max(entries, self._entries)
        size = self._entries * self.record
        if os.fstat(self._file).st_size < size:
            os.truncate(self._file, size)
        if not self._in_memory:
            self._map(size)

    def _map(self, size: int) -> None:
        # Reading through the memory map needs no system call per entry. [entries, record] uint8, read-only.
        mapped = mmap.mmap(self._file, size, access=mmap.ACCESS_READ)
        self._records = np.frombuffer(mapped, np.uint8).reshape(-1, self.record)

    def _gather(self, entries: np.ndarray) -> np.ndarray:
        """A copy of the records `entries` (int64 [B], reserved), uint8 [B, record]."""
        if not self._in_memory:
            return self._records[entries]
        first, end = (int(entries.min()), int(entries.max()) + 1) if len(entries) else (0, 0)
        if (end - first) * self.record <= min(2 * len(entries) * self.record, _AT_ONCE):
            content = os.pread(self._file, (end - first) * self.record, first * self.record)
            return np.frombuffer(content, np.uint8).reshape(-1, self.record)[entries - first]
        parts = [os.pread(self._file, self.record, entry * self.record) for entry in entries.tolist()]
        return np.frombuffer(b"".join(parts), np.uint8).reshape(-1, self.record)

    def written(self, entries: np.ndarray) -> np.ndarray:
        """Which of `entries` (int64 [B], reserved) were ever written, whether or not they are whole, as bool [B]."""
        return (self._gather(entries)[:, self.codec.size :] != 0).any(axis=1)

    def read(self, entries: np.ndarray, owners: np.ndarray) -> tuple[Tensor, np.ndarray]:
        """The outputs in `entries`, and which of them are known.

        Args:
            entries: int64 [B]; negative ones are not in the file, and read as unknown.
            owners: uint32 [B], identify the image and view of each entry.

        Returns:
            float32 [B, ...], and bool [B].
        """
        records = self._gather(np.maximum(entries, 0))  # [B, record]
        packed = np.ascontiguousarray(records[:, : self.codec.size])
        checks = np.ascontiguousarray(records[:, self.codec.size :]).view(CHECK)[:, 0]
        return self.codec.decode(packed), (checks == checksums(packed, owners)) & (entries >= 0)

    def write(self, entries: np.ndarray, owners: np.ndarray, packed: np.ndarray) -> None:
        """Stores uint8 [B, size] in `entries`; negative ones are skipped.

        Raises:
            OSError: the disk is full.
        """
        records = np.concatenate([packed, checksums(packed, owners)[:, None].view(np.uint8)], axis=1)
        content, record = records.tobytes(), self.record
        for place, entry in enumerate(entries.tolist()):
            if entry < 0:
                continue
            # Not through the memory map, where a full disk would kill the process instead of raising an error.
            if os.pwrite(self._file, content[place * record : (place + 1) * record], entry * record) != record:
                raise OSError("an entry was written in part")

    def clear(self) -> None:
        """Deletes all entries; other processes continue with the old file, which must not shrink under them.

        The caller must hold the folder's lock, see `reserve`.
        """
        self.close()
        self._path.unlink(missing_ok=True)
        self._open()
        if self._entries:
            self.reserve(self._entries)

    def close(self) -> None:
        os.close(self._file)


def in_memory(file: int) -> bool:
    """Whether an open file is on a file system in memory, such as /dev/shm.

    There, reading unwritten parts through a memory map allocates memory for them, and the process is killed by SIGBUS
    where none is left; a system call just reads zeros.
    """
    device = os.fstat(file).st_dev
    try:
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:  # not Linux
        return False
    number = f"{os.major(device)}:{os.minor(device)}"
    return any(f" {number} " in mount and " - tmpfs " in mount for mount in mounts)


def checksums(packed: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """uint32 [B] of uint8 [B, size], never 0, which stands for an entry that was never written.

    CRCs with different starting values end differently: equal values of two owners never have equal checksums (except
    for the one value that replaces 0).
    """
    content, size = packed.tobytes(), packed.shape[1]
    starts = range(0, len(content), size)
    sums = [zlib.crc32(content[at : at + size], owner) or 1 for at, owner in zip(starts, owners.tolist(), strict=True)]
    return np.array(sums, dtype=CHECK)
