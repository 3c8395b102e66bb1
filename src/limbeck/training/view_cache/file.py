"""Answers of fixed size in one file: written when they are first known, checked whenever they are read.

Every entry is its values and a checksum over them and its number, so that what a crash cut short, a disk lost or
another program overwrote reads as unknown, as does what was never written. The file is sparse: it takes the room of the
entries that were written. Any number of processes may read and write it at once; where two write one entry, they write
the same bytes, or the checksum tells.
"""

import os
import zlib
from abc import ABC, abstractmethod
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from limbeck.files import disk_errors

_CHECK = np.dtype("<u4")


class Codec(ABC):
    """Interface: how an answer becomes bytes and back.

    Attributes:
        name: equal exactly where the bytes mean the same.
        size: bytes of an answer.
        dtype: of the values, "float16" or "float32".
    """

    name: str
    size: int
    dtype: str

    @abstractmethod
    def encode(self, values: Tensor) -> np.ndarray:
        """float32 [B, ...] on the CPU as uint8 [B, size]."""

    @abstractmethod
    def decode(self, packed: np.ndarray) -> Tensor:
        """uint8 [B, size] as float32 [B, ...]."""

    @abstractmethod
    def comparable(self, values: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
        """Values [B, ...] and what was read back for them, as far as it was stored: both float32 [B, n]."""


class Dense(Codec):
    """All values, rounded to a floating type.

    Args:
        shape: of one answer.
        dtype: "float16" or "float32".
    """

    def __init__(self, shape: tuple[int, ...], dtype: str) -> None:
        self.shape = shape
        self.dtype = dtype
        self._stored = np.dtype(dtype).newbyteorder("<")
        self.name = dtype
        self.size = prod(shape) * self._stored.itemsize

    def encode(self, values: Tensor) -> np.ndarray:
        with np.errstate(over="ignore"):  # what float16 cannot hold becomes infinite, and is not stored
            return values.flatten(1).numpy().astype(self._stored).view(np.uint8)

    def decode(self, packed: np.ndarray) -> Tensor:
        values = packed.view(self._stored).astype(np.float32)
        return torch.from_numpy(values).view(len(packed), *self.shape)

    def comparable(self, values: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
        return values.flatten(1), kept.flatten(1)


class TopLogits(Codec):
    """The k largest logits, and one number for the others: they share equally the probability that is left.

    Softmax gives the k their own probabilities and the others the right sum; `error` says what is lost.

    Args:
        classes: K, at most 65,536.
        k: 1 to K - 1.
        dtype: "float16" or "float32".
    """

    def __init__(self, classes: int, k: int, dtype: str) -> None:
        assert 0 < k < classes <= 2**16
        self.classes, self.k = classes, k
        self.dtype = dtype
        self.values = Dense((k + 1,), dtype)
        self.name = f"top{k}-{dtype}"
        self.size = self.values.size + 2 * k

    def encode(self, values: Tensor) -> np.ndarray:
        top, places = values.topk(self.k, dim=1)
        others = values.scatter(1, places, -torch.inf).logsumexp(dim=1, keepdim=True)
        packed = self.values.encode(torch.cat([top, others], dim=1))
        return np.concatenate([packed, places.numpy().astype("<u2").view(np.uint8)], axis=1)

    def decode(self, packed: np.ndarray) -> Tensor:
        values = self.values.decode(np.ascontiguousarray(packed[:, : self.values.size]))
        places = np.ascontiguousarray(packed[:, self.values.size :]).view("<u2").astype(np.int64)
        each = values[:, self.k :] - np.log(self.classes - self.k)
        return each.repeat(1, self.classes).scatter(1, torch.from_numpy(places), values[:, : self.k])

    def comparable(self, values: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
        # At the places that were kept: of two logits that are almost equal, arithmetic may prefer either.
        top, places = kept.topk(self.k, dim=1)
        others = [one.scatter(1, places, -torch.inf).logsumexp(dim=1, keepdim=True) for one in (values, kept)]
        return torch.cat([values.gather(1, places), others[0]], dim=1), torch.cat([top, others[1]], dim=1)


class AnswerFile:
    """Entries 0..N-1 of one codec in one file.

    Args:
        path: made if it is not there.
        entries: N.
        codec: of the values.

    Raises:
        UserError: see `disk_errors`.
    """

    def __init__(self, path: Path, entries: int, codec: Codec) -> None:
        self.codec = codec
        self.entries = entries
        self.record = codec.size + _CHECK.itemsize
        self._path = path
        self._open()

    def _open(self) -> None:
        with disk_errors(self._path):
            if self._path.exists() and self._path.stat().st_size > self.bytes:
                self._path.unlink()  # nothing of ours
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            if os.fstat(self._file).st_size < self.bytes:
                os.truncate(self._file, self.bytes)
        self._records = np.memmap(self._path, np.uint8, mode="r", shape=(self.entries, self.record))

    @property
    def bytes(self) -> int:
        """Size once every entry is written."""
        return self.entries * self.record

    def filled(self) -> int:
        """How many entries were written, whether or not they are whole; reads the file once."""
        return int(self._records[:, self.codec.size :].any(axis=1).sum())

    def read(self, entries: np.ndarray) -> tuple[Tensor, np.ndarray]:
        """Answers to `entries` (int64 [B]) as float32 [B, ...], and which of them are known, bool [B]."""
        records = self._records[entries]
        packed = np.ascontiguousarray(records[:, : self.codec.size])
        known = np.ascontiguousarray(records[:, self.codec.size :]).view(_CHECK)[:, 0] == _checksums(packed, entries)
        return self.codec.decode(packed), known

    def write(self, entries: np.ndarray, packed: np.ndarray) -> None:
        """Stores uint8 [B, size] under `entries`.

        Raises:
            OSError: the disk is full.
        """
        records = np.concatenate([packed, _checksums(packed, entries)[:, None].view(np.uint8)], axis=1)
        for entry, record in zip(entries.tolist(), records, strict=True):
            # Not through the memory map, where a full disk would kill the process instead of raising an error.
            if os.pwrite(self._file, record.tobytes(), entry * self.record) != self.record:
                raise OSError("an entry was written in part")

    def clear(self) -> None:
        """Forgets all entries; other processes go on with the old file, which would be lost to them if it shrank."""
        self.close()
        self._path.unlink(missing_ok=True)
        self._open()

    def close(self) -> None:
        os.close(self._file)


def _checksums(packed: np.ndarray, entries: np.ndarray) -> np.ndarray:
    """uint32 [B], never 0, which stands for an entry that was never written."""
    rows = zip(packed, entries.tolist(), strict=True)
    sums = [zlib.crc32(row.tobytes(), (entry + 1) & 0xFFFF_FFFF) or 1 for row, entry in rows]
    return np.array(sums, dtype=_CHECK)
