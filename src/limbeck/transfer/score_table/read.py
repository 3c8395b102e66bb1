"""Reading a table of scores, a million rows at a time."""

import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from limbeck.errors import UserError
from limbeck.transfer.criteria import CLUSTERS

ROWS = 2**20
METADATA = b"limbeck"
"""Key of what a table says of itself."""


class ScoreTable:
    """A Parquet file of id, label and scores, read a million rows at a time.

    Args:
        path: with columns `id` (int64, distinct), `label` (int, may be null), one for each score, and one for the
            clusters (int, >= 0) of each criterion that goes by them.

    Raises:
        UserError: no such file, not Parquet, or without ids.

    Example:
        >>> len(ScoreTable("scores.parquet"))
        200
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            # Arrow's read-ahead would keep every row group that was read until the last.
            self._file = pq.ParquetFile(self.path, pre_buffer=False)
        except FileNotFoundError:
            raise UserError(f"there is no table of scores {str(path)!r}; `limbeck score` makes one.") from None
        except (pa.ArrowInvalid, OSError) as error:
            raise UserError(f"{str(path)!r} is no Parquet file of scores ({error}).") from error
        names = self._file.schema_arrow.names
        if "id" not in names:
            raise UserError(f"{str(path)!r} must have a column 'id', got {', '.join(names)}.")
        self.columns = tuple(name for name in names if name not in ("id", "label"))
        self.about: dict[str, Any] = json.loads((self._file.schema_arrow.metadata or {}).get(METADATA, b"{}"))

    def __len__(self) -> int:
        return self._file.metadata.num_rows

    @property
    def name(self) -> str:
        return self.about.get("name", self.path.stem)

    def batches(self, *columns: str) -> Iterator[dict[str, np.ndarray]]:
        """Columns as arrays `[B]`, scores as float64."""
        for batch in self._batches(columns):
            for name in columns:
                if batch[name].null_count and _kind(name) is np.int64:
                    raise UserError(f"column {name!r} of {str(self.path)!r} lacks values in some rows; score again.")
            arrays = {name: batch[name].to_numpy(zero_copy_only=False) for name in columns}
            yield {name: array.astype(_kind(name), copy=False) for name, array in arrays.items()}

    def _batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        schema = self._file.schema_arrow
        for name in columns:
            kind = schema.field(name).type
            if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
                raise UserError(f"column {name!r} of {str(self.path)!r} must hold numbers, got {kind}.")
        try:
            yield from self._file.iter_batches(ROWS, columns=list(columns))
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"{str(self.path)!r} is damaged ({error}); score again.") from error

    @cached_property
    def sizes(self) -> np.ndarray | None:
        """Images of each class, int64 `[K]`, or None without labels."""
        if "label" not in self._file.schema_arrow.names:
            return None
        counts = np.zeros(len(self.about.get("classes", ())), dtype=np.int64)
        for batch in self._batches(["label"]):
            if batch["label"].null_count:
                return None
            found = np.bincount(batch["label"].to_numpy())
            grown = np.zeros(max(len(found), len(counts)), dtype=np.int64)
            grown[: len(counts)] += counts
            grown[: len(found)] += found
            counts = grown
        return counts

    # What a budget is resolved against, as of an image set.

    @property
    def labels(self) -> np.ndarray | None:
        return self.sizes

    @property
    def classes(self) -> tuple[str, ...]:
        names = tuple(self.about.get("classes", ()))
        count = 0 if self.sizes is None else len(self.sizes)
        return names if len(names) >= count else tuple(map(str, range(count)))

    def class_counts(self) -> Tensor:
        assert self.sizes is not None, "budgets per class are refused for unlabelled tables before"
        return torch.from_numpy(self.sizes)


def _kind(column: str) -> type[np.generic]:
    whole = column in ("id", "label") or column.startswith(f"{CLUSTERS}:")
    return np.int64 if whole else np.float64
