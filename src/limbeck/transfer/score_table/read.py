"""A table of scores, in memory or in a Parquet file, read a million rows at a time."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from limbeck.errors import UserError
from limbeck.transfer.criteria import CLUSTERS

ROWS = 2**20
METADATA = b"limbeck"
"""Key of limbeck's metadata in a Parquet schema."""
DIGEST = "digest"
"""Column with a hash of each image's pixels, of fixed length."""
NO_SCORES = ("id", "source", "label", "group", "native", DIGEST)


class ScoreTable:
    """Ids of images, their scores and labels, in memory or in a Parquet file that is read a million rows at a time.

    Args:
        table: columns by name or as an Arrow table, or the path of a Parquet file of them: `id` (int64), `label` and
            `group` (int, >= 0), `source` (names), `native` (int, the source's own class, -1 for none), `digest` (a
            hash of the pixels, 16 bytes), one column for each score, and one for the clusters (int, >= 0) of each
            criterion that uses clusters; all but `id` are optional. Ids are distinct within a source. A null score
            means that the image was never scored; criteria that use that score ignore the image.
        about: metadata, such as the name of the image set and its classes; by default those stored with the columns.

    Raises:
        UserError: there is no such file, it is not Parquet, or has no ids.

    Example:
        >>> len(ScoreTable("scores.parquet"))
        200
        >>> sure = {"id": [0, 1, 0], "source": ["cats", "cats", "dogs"], "margin:teacher-logits": [0.9, 0.2, 0.8]}
        >>> ScoreTable(sure).sources
        ('cats', 'dogs')
    """

    def __init__(self, table: str | Path | pa.Table | Mapping[str, Any], about: dict[str, Any] | None = None) -> None:
        self.path = Path(table) if isinstance(table, str | Path) else None
        table = pa.table(dict(table)) if isinstance(table, Mapping) else table
        # An Arrow table or a `ParquetFile`; pyarrow has no types.
        self._columns: Any = _open(self.path) if self.path is not None else table
        names = self._schema.names
        if "id" not in names:
            raise UserError(f"{self.title} must have a column 'id', got {', '.join(names)}.")
        self.columns = tuple(name for name in names if name not in NO_SCORES)
        written = json.loads((self._schema.metadata or {}).get(METADATA, b"{}"))
        self.about: dict[str, Any] = written if about is None else about

    @property
    def _schema(self) -> pa.Schema:
        return self._columns.schema if self.path is None else self._columns.schema_arrow

    def __len__(self) -> int:
        return self._columns.num_rows if self.path is None else self._columns.metadata.num_rows

    @property
    def name(self) -> str:
        """Name of the image set."""
        return self.about.get("name", "images" if self.path is None else self.path.stem)

    @property
    def title(self) -> str:
        """Its name in error messages."""
        return "the table of scores" if self.path is None else repr(str(self.path))

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the images' classes; may be empty."""
        return self.names("label")

    def has(self, column: str) -> bool:
        return column in self._schema.names

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources, sorted; empty if the table has none."""
        if not self.has("source"):
            return ()
        kind = self._schema.field("source").type
        if not pa.types.is_string(kind.value_type if pa.types.is_dictionary(kind) else kind):
            raise UserError(f"column 'source' of {self.title} must hold names, got {kind}.")
        names: set[str | None] = set()
        for batch in self._batches(["source"]):
            names.update(batch["source"].unique().to_pylist())
        if None in names:
            raise UserError(f"column 'source' of {self.title} lacks values in some rows; name the source of all.")
        return tuple(sorted(name for name in names if name is not None))

    def batches(self, *columns: str, known: str | None = None) -> Iterator[dict[str, np.ndarray]]:
        """Batches of columns as arrays `[B]`: scores float64, sources as indices into `sources`, digests uint8
        `[B, 16]`, all others int64.

        Args:
            columns: their names.
            known: a column; rows in which it is null are skipped.
        """
        wanted = [*columns, *([] if known is None or known in columns else [known])]
        for batch in self._batches(wanted):
            if known is not None and batch[known].null_count:
                batch = batch.filter(batch[known].is_valid())
            yield {name: self._array(name, batch[name]) for name in columns}

    def _array(self, name: str, column: pa.Array) -> np.ndarray:
        if name == "source":
            encoded = column.dictionary_encode()  # unchanged if it is one already
            places = [self.sources.index(source) for source in encoded.dictionary.to_pylist()]
            return np.array(places, dtype=np.int64)[encoded.indices.to_numpy()]
        if name == DIGEST:
            return _bytes(column, self.title)
        kind = _kind(name)
        if column.null_count and kind is np.int64:
            raise UserError(f"column {name!r} of {self.title} lacks values in some rows; score again.")
        return column.to_numpy(zero_copy_only=False).astype(kind, copy=False)

    def _batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        for name in columns:
            kind = self._schema.field(name).type
            if name not in ("source", DIGEST) and not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
                raise UserError(f"column {name!r} of {self.title} must hold numbers, got {kind}.")
        if self.path is None:
            yield from self._columns.select(list(columns)).to_batches(ROWS)
            return
        try:
            yield from self._columns.iter_batches(ROWS, columns=list(columns))
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"{self.title} is damaged ({error}); score again.") from error

    def count(self, known: str | None = None) -> int:
        """Number of rows, or of those in which the column `known` is not null."""
        if known is None:
            return len(self)
        return sum(len(batch) - batch[known].null_count for batch in self._batches([known]))

    def sizes(self, column: str, known: str | None = None) -> np.ndarray | None:
        """Number of images of each class or group, int64 `[K]`; None if some image is in none.

        Args:
            column: "label" or "group".
            known: as for `batches`.
        """
        if not self.has(column):
            return None
        counts = np.zeros(len(self.names(column)), dtype=np.int64)
        for batch in self._batches([column] if known is None else [column, known]):
            values = batch[column] if known is None else batch[column].filter(batch[known].is_valid())
            if values.null_count:
                return None
            numbers = values.to_numpy(zero_copy_only=False).astype(np.int64, copy=False)
            if len(numbers) and numbers.min() < 0:
                raise UserError(f"column {column!r} of {self.title} must be 0 or above, got {numbers.min()}.")
            batch_counts = np.bincount(numbers)
            counts = np.pad(counts, (0, max(0, len(batch_counts) - len(counts))))
            counts[: len(batch_counts)] += batch_counts
        return counts

    def names(self, column: str) -> tuple[str, ...]:
        """Names of the classes ("label") or groups ("group"); may be empty."""
        return tuple(self.about.get({"label": "classes"}.get(column, "groups"), ()))


def _open(path: Path) -> pq.ParquetFile:
    try:
        # Arrow's read-ahead would keep all row groups in memory until the last one is read.
        return pq.ParquetFile(path, pre_buffer=False)
    except FileNotFoundError:
        raise UserError(f"there is no table of scores {str(path)!r}; `limbeck score` makes one.") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{str(path)!r} is no Parquet file of scores ({error}).") from error


def _bytes(column: pa.Array, title: str) -> np.ndarray:
    """Digests as uint8 `[B, 16]`."""
    if not pa.types.is_fixed_size_binary(column.type) or column.null_count:
        raise UserError(f"column {DIGEST!r} of {title} must hold bytes, equally many for every image; score again.")
    packed = np.frombuffer(column.buffers()[1], dtype=np.uint8).reshape(-1, column.type.byte_width)
    return packed[column.offset : column.offset + len(column)]


def _kind(column: str) -> type[np.generic]:
    whole = column in NO_SCORES or column.startswith(f"{CLUSTERS}:")
    return np.int64 if whole else np.float64
