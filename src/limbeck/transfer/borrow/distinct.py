"""Finding equal pictures in the tables of several pools by their digests, in constant memory."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from limbeck.errors import UserError
from limbeck.files import disk_errors
from limbeck.transfer.score_table.read import DIGEST

ROWS = 2**15
"""Rows of a table to read at a time."""
COMPARED, MOST_FILES = 2**15, 256
"""Pictures to compare with one another at a time, and the largest number of files to partition them into."""

# A digest as two words, and the row that it belongs to.
_PICTURE = np.dtype([("high", "<u8"), ("low", "<u8"), ("table", "<i4"), ("id", "<i8"), ("row", "<i8")])


def batches_of(path: Path, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Batches of rows of a Parquet file.

    Raises:
        UserError: it is damaged.
    """
    try:
        # Arrow's read-ahead would keep all row groups in memory until the last one is read.
        file: Any = pq.ParquetFile(path, pre_buffer=False)
        yield from file.iter_batches(ROWS, columns=None if columns is None else list(columns))
    except (pa.ArrowException, OSError, KeyError) as error:
        raise UserError(f"{str(path)!r} is damaged ({error}); remove it, so that it is made again.") from error


def digests_of(batch: pa.RecordBatch) -> np.ndarray:
    """The digests of a batch, uint8 `[B, 16]`."""
    column = batch[DIGEST]
    packed = np.frombuffer(column.buffers()[1], dtype=np.uint8).reshape(-1, column.type.byte_width)
    return packed[column.offset : column.offset + len(column)]


def repeated(tables: Sequence[Path], scratch: Path, left_out: Sequence[np.ndarray] | None = None) -> list[np.ndarray]:
    """Masks bool `[N]`, one per table: rows whose picture is also in an earlier table, or in this one with a lower id.

    Args:
        tables: Parquet files with columns "id" and "digest", in the order in which pictures are kept.
        scratch: a folder for temporary files of 36 bytes per row; removed at the end.
        left_out: masks bool `[N]`, one per table: rows to ignore; None for none.

    Example:
        >>> columns = {"id": [4, 2], "digest": pa.array([b"a" * 16, b"a" * 16], pa.binary(16))}
        >>> pq.write_table(pa.table(columns), "one.parquet")
        >>> repeated([Path("one.parquet")], Path("scratch"))[0].tolist()
        [True, False]
    """
    counts = [pq.read_metadata(path).num_rows for path in tables]
    parts = min(MOST_FILES, -(-sum(counts) // COMPARED))
    shutil.rmtree(scratch, ignore_errors=True)  # left by a killed process
    with disk_errors(scratch):
        scratch.mkdir(parents=True)
        try:
            _part(tables, [scratch / f"{part:03d}" for part in range(parts)], left_out)
            masks = [np.zeros(count, dtype=bool) for count in counts]
            for part in range(parts):
                pictures = np.fromfile(scratch / f"{part:03d}", dtype=_PICTURE)
                duplicates = _again(pictures)
                for table in np.unique(duplicates["table"]):
                    masks[table][duplicates["row"][duplicates["table"] == table]] = True
            return masks
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _part(tables: Sequence[Path], files: Sequence[Path], left_out: Sequence[np.ndarray] | None) -> None:
    """Partitions all pictures that count into the files; equal digests go into the same file."""
    with ExitStack() as stack:
        opened = [stack.enter_context(file.open("wb")) for file in files]
        for table, path in enumerate(tables):
            row = 0
            for batch in batches_of(path, ["id", DIGEST]):
                pictures = np.empty(len(batch), dtype=_PICTURE)
                words = np.ascontiguousarray(digests_of(batch)).view("<u8")
                pictures["high"], pictures["low"], pictures["table"] = words[:, 0], words[:, 1], table
                pictures["id"], pictures["row"] = batch["id"].to_numpy(), np.arange(row, row + len(batch))
                if left_out is not None:
                    pictures = pictures[~left_out[table][row : row + len(batch)]]
                row += len(batch)
                part = (pictures["high"] >> np.uint64(56)).astype(np.int64) * len(files) >> 8
                for number in np.unique(part):
                    pictures[part == number].tofile(opened[number])


def _again(pictures: np.ndarray) -> np.ndarray:
    """Of pictures with equal digests, all but the first by table and id."""
    pictures = pictures[np.lexsort([pictures[word] for word in ("id", "table", "low", "high")])]
    same = (pictures["high"][1:] == pictures["high"][:-1]) & (pictures["low"][1:] == pictures["low"][:-1])
    return pictures[1:][same]
