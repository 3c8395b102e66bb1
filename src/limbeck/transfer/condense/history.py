"""The history of condensing: a table with a row for each iteration, written to disk as it grows."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from limbeck.errors import UserError
from limbeck.files import atomic_write_text, disk_errors

HISTORY = "iterations.jsonl"
"""File in the maker's folder."""


class History:
    """Numbers by name of each iteration, in order.

    Reports have titles for `loss`, `skipped` (0 or 1), `start` (epoch of the expert), `expert`, `rate` (the learned
    one, or that of the pixels where none is learned), `seconds` and `memory` (peak bytes so far), and show other
    columns by name.

    Args:
        rows: numbers of iterations 0, 1, ...

    Example:
        >>> history = History([{"loss": 0.9, "rate": 0.01}, {"loss": 0.8}])
        >>> len(history), history.column("rate")
        (2, [0.01, nan])
    """

    def __init__(self, rows: Sequence[Mapping[str, float]] = ()) -> None:
        self.rows = list(rows)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def names(self) -> list[str]:
        """Names of all columns, in order of first appearance."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def column(self, name: str) -> list[float]:
        """One column over all iterations, NaN where it was not noted."""
        return [float(row.get(name, math.nan)) for row in self.rows]

    def known(self, name: str) -> list[float]:
        """The finite values of a column.

        Example:
            >>> History([{"loss": 0.9}, {"loss": float("nan")}]).known("loss")
            [0.9]
        """
        return [value for value in self.column(name) if math.isfinite(value)]


class HistoryFile:
    """The history on disk, a line for each iteration.

    Rows wait in memory until `flush`, which precedes each checkpoint; rows that a kill loses are computed again.

    Args:
        folder: of the maker.

    Example:
        >>> file = HistoryFile(Path("maker"))
        >>> for iteration in range(3):
        ...     file.append({"loss": 1.0 - iteration / 10})
        >>> file.flush()
        >>> file.go_back(2)  # to the iteration of a checkpoint
        >>> HistoryFile(Path("maker")).count, file.read().column("loss")
        (2, [1.0, 0.9])
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / HISTORY
        self._waiting: list[str] = []
        self._written = len(self._lines())

    @property
    def count(self) -> int:
        """Number of iterations noted."""
        return self._written + len(self._waiting)

    def append(self, numbers: Mapping[str, float]) -> None:
        """Notes the next iteration; NaN and infinity are kept as such."""
        self._waiting.append(json.dumps({name: float(value) for name, value in numbers.items()}))

    def flush(self) -> None:
        """Writes the waiting rows.

        Raises:
            UserError: the disk is full.
        """
        with disk_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a") as file:
                file.writelines(f"{line}\n" for line in self._waiting)
                file.flush()
                os.fsync(file.fileno())  # before the checkpoint that counts them
        self._written, self._waiting = self.count, []

    def go_back(self, count: int) -> None:
        """Forgets all but the first `count` iterations, and a line that a kill cut short.

        Raises:
            UserError: fewer were noted, as where the file is missing.
        """
        kept = [*self._lines(), *self._waiting][:count]
        if len(kept) < count:
            raise UserError(f"{str(self.path)!r} must hold {count:,} iterations, got {len(kept):,}; {_MEND}")
        with disk_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            atomic_write_text(self.path, "".join(f"{line}\n" for line in kept))
        self._written, self._waiting = count, []

    def read(self) -> History:
        """All that was noted.

        Raises:
            UserError: the file is damaged.
        """
        try:
            rows: list[Any] = [json.loads(line) for line in [*self._lines(), *self._waiting]]
        except ValueError as error:
            raise UserError(f"{str(self.path)!r} is damaged ({error}); {_MEND}") from error
        return History(rows)

    def _lines(self) -> list[str]:
        """The complete lines of the file."""
        text = self.path.read_text() if self.path.exists() else ""
        return [line.removesuffix("\n") for line in text.splitlines(keepends=True) if line.endswith("\n")]


_MEND = "begin in another folder, or delete this one to have the set made again."
