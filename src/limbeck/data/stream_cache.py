"""A cache on disk of the images read from a stream, in one shape: it grows by shards, and is memory-mapped."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from filelock import FileLock

from limbeck.data.pixel_range import Largest, brightest
from limbeck.data.storage import DIGEST_BYTES, TensorStorage, image_digests
from limbeck.errors import UserError
from limbeck.files import atomic_path, atomic_write_text, disk_errors

_LARGEST = b"limbeck.largest"


@dataclass(frozen=True)
class StreamedImages:
    """The first rows of a stream.

    Attributes:
        storage: pixels of the readable rows, memory-mapped.
        readable: bool [rows].
        labels: as they were stored, one for each row; None where there is no column of them.
        seen: the `Largest` of each shard, if it has one.
    """

    storage: TensorStorage
    readable: np.ndarray
    labels: pa.ChunkedArray | None
    seen: list[Largest]


class StreamCache:
    """A folder with `images.bin`, the readable images one after another, `digests.bin`, their hashes, and a small
    table of the rows of each shard.

    A shard counts once its table exists, which is written last; remains of an interrupted write are overwritten.

    Args:
        folder: need not exist.
        shape: (C, H, W) of every image.

    Attributes:
        rows: rows of the stream in complete shards.
    """

    def __init__(self, folder: Path, shape: tuple[int, int, int]) -> None:
        self._folder = folder
        self._shape = shape
        self._shards: list[pa.Table] = []
        while (path := self._path(len(self._shards))).exists():
            self._shards.append(_read_shard(path))
        self.rows = sum(map(len, self._shards))
        self._kept = sum(int(shard["readable"].to_numpy().sum()) for shard in self._shards)

    def about(self) -> dict[str, Any] | None:
        """What was noted when the stream was first opened; None before that."""
        try:
            return json.loads((self._folder / "about.json").read_text())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValueError as error:
            raise _damaged(self._folder) from error

    def begin(self, about: dict[str, Any]) -> dict[str, Any]:
        """Makes the folder and notes what is known of the stream; returns an earlier note of another process if any."""
        with disk_errors(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self._folder / ".begun"):
            noted = self.about()
            if noted is None:
                atomic_write_text(self._folder / "about.json", json.dumps(about, indent=1) + "\n")
        return about if noted is None else noted

    @property
    def ended(self) -> bool:
        """Whether the stream has no more rows."""
        return (self._folder / "ended").exists()

    def end(self) -> None:
        """Notes that there are no more rows."""
        atomic_write_text(self._folder / "ended", "")

    def append(
        self, images: np.ndarray, readable: np.ndarray, labels: pa.ChunkedArray | None, seen: list[Largest]
    ) -> None:
        """Writes a shard.

        Args:
            images: uint8 [rows, C, H, W], arbitrary where not readable.
            readable: bool [rows].
            labels: of all rows, or None.
            seen: see `decode`.

        Raises:
            UserError: the disk is full or not writable, or earlier files are shorter than what was written to them.
        """
        kept = np.ascontiguousarray(images[readable])
        digests = image_digests(torch.from_numpy(kept)).numpy() if len(kept) else np.empty((0, DIGEST_BYTES), np.uint8)
        for name, values in (("images.bin", kept), ("digests.bin", digests)):
            with disk_errors(self._folder), (self._folder / name).open("ab") as file:
                size = self._kept * int(np.prod(values.shape[1:]))
                if os.fstat(file.fileno()).st_size < size:  # `truncate` would fill the gap with zeros
                    raise _damaged(self._folder)
                file.truncate(size)
                values.tofile(file)
                file.flush()
                os.fsync(file.fileno())
        columns: dict[str, Any] = {"readable": pa.array(readable)}
        if labels is not None:
            columns["label"] = labels
        table = pa.table(columns).replace_schema_metadata({_LARGEST: json.dumps(brightest(seen))})
        with atomic_path(self._path(len(self._shards))) as temporary:
            pq.write_table(table, temporary)
        self._shards.append(table)
        self.rows += len(readable)
        self._kept += len(kept)

    def read(self, rows: int) -> StreamedImages:
        """The first `rows` rows of the cache, at least one.

        Raises:
            UserError: the folder is damaged.
        """
        readable = np.concatenate([shard["readable"].to_numpy() for shard in self._shards])[:rows]
        count = int(readable.sum())
        images = self._values("images.bin", count, self._shape)
        digests = self._values("digests.bin", count, (DIGEST_BYTES,))
        storage = TensorStorage(torch.from_numpy(images), torch.from_numpy(np.array(digests)))
        labels = None
        if "label" in self._shards[0].column_names:
            labels = joined_labels([shard["label"] for shard in self._shards]).slice(0, rows)
        seen = [
            Largest(*entry) for shard in self._shards for entry in json.loads((shard.schema.metadata or {})[_LARGEST])
        ]
        return StreamedImages(storage, readable, labels, seen)

    def _values(self, name: str, count: int, shape: tuple[int, ...]) -> np.ndarray:
        """The first `count` values of `shape` in a file, memory-mapped copy-on-write."""
        path = self._folder / name
        if not path.exists() or path.stat().st_size < self._kept * int(np.prod(shape)):
            raise _damaged(self._folder)
        if count == 0:  # an empty file cannot be mapped
            return np.empty((0, *shape), np.uint8)
        return np.memmap(path, np.uint8, mode="c", shape=(count, *shape))

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06d}.parquet"


def _read_shard(path: Path) -> pa.Table:
    try:
        return pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path.parent) from error


def joined_labels(parts: Sequence[pa.ChunkedArray]) -> pa.ChunkedArray:
    """The labels of all parts (at least one) in their common type; parts whose labels are all missing have no type.

    Raises:
        UserError: there is no common type.
    """
    schemas = [pa.schema([("label", part.type)]) for part in parts]
    try:
        kind = pa.unify_schemas(schemas, promote_options="permissive").field(0).type
        return pa.chunked_array([chunk for part in parts for chunk in part.cast(kind).chunks], kind)
    except pa.ArrowException as error:
        kinds = " and ".join(sorted({str(part.type) for part in parts}))
        raise UserError(
            f"labels of a stream must be of one type, got {kinds}; state the type of the column."
        ) from error


def _damaged(folder: Path) -> UserError:
    return UserError(
        f"what is kept of a stream in {str(folder)!r} is damaged; `limbeck cache rm {folder.name[:10]}` removes it, "
        "and it is read again."
    )
