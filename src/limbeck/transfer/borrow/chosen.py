"""The images chosen from the pools, and counts for every class."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from limbeck.transfer.borrow.settings import NONE
from limbeck.transfer.score_table.read import ScoreTable
from limbeck.transfer.score_table.rows import Rows, is_in
from limbeck.transfer.words import listing


@dataclass(frozen=True, eq=False)
class ChosenRows:
    """Images of a transfer set, criterion after criterion, most preferred first.

    Attributes:
        sources: int64 `[n]`, indices into the table's `sources`.
        ids: int64 `[n]`, within their pools.
        groups: int64 `[n]`, the classes that the teacher predicts.
        copies: int64 `[n]`, 0, and 1, 2 ... for the repetitions of an image.
        parts: int64 `[n]`, index of the criterion that chose it.
    """

    sources: np.ndarray
    ids: np.ndarray
    groups: np.ndarray
    copies: np.ndarray
    parts: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def none(cls) -> Self:
        return cls(*(np.zeros(0, dtype=np.int64) for _ in range(5)))

    @classmethod
    def of(cls, table: ScoreTable, sources: np.ndarray, ids: np.ndarray, part: int) -> Self:
        """Rows of a table, each once; looks up their groups."""
        groups = looked_up(table, sources, ids, "group")["group"]
        return cls(sources, ids, groups, np.zeros_like(ids), np.full_like(ids, part))

    def and_those(self, more: "ChosenRows") -> "ChosenRows":
        return ChosenRows(*(np.concatenate(pair) for pair in zip(self._columns, more._columns, strict=True)))

    def at(self, rows: np.ndarray) -> "ChosenRows":
        """The rows at `rows`, indices int64 or a mask."""
        return ChosenRows(*(column[rows] for column in self._columns))

    def with_repetitions(self, wanted: np.ndarray, groups: np.ndarray) -> "ChosenRows":
        """Fills each of `groups` int64 `[n]` up to `wanted` `[G]` by repeating its images in turn, best first."""
        more, copies = [], []
        for group, count in enumerate(wanted.tolist()):
            own = np.flatnonzero(groups == group)
            repeated = np.arange(max(0, count - len(own)))
            if len(repeated):
                more.append(own[repeated % len(own)])
                copies.append(1 + repeated // len(own))
        if not more:
            return self
        repeated = self.at(np.concatenate(more))
        shown = ChosenRows(repeated.sources, repeated.ids, repeated.groups, np.concatenate(copies), repeated.parts)
        return self.and_those(shown)

    def hold(self, rows: Rows) -> np.ndarray:
        """Which of some rows of the table are among these, bool `[B]`."""
        assert rows.sources is not None, "tables of pools name them"
        return is_in(rows.ids, rows.sources, self.ids, self.sources)

    @property
    def _columns(self) -> Sequence[np.ndarray]:
        return self.sources, self.ids, self.groups, self.copies, self.parts


@dataclass(frozen=True, eq=False)
class PartCounts:
    """Counts for one criterion, class by class.

    Attributes:
        by: its name.
        wanted: int64 `[K]`, its equal shares; None for a criterion that does not work per class.
        passed: int64 `[K]`, images that it could choose: those past the threshold that no other criterion had chosen.
        distinct: int64 `[K]`, distinct images.
        repeated: int64 `[K]`, repetitions of images.
        thresholds: float64 `[K]`, the score that the least sure image may have; None without a threshold.
        candidates: number of images that it chose among, if only a sample of those that passed; else None.
    """

    by: str
    wanted: np.ndarray | None
    passed: np.ndarray
    distinct: np.ndarray
    repeated: np.ndarray
    thresholds: np.ndarray | None = None
    candidates: int | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Chosen:
    """What was borrowed, with counts for every class.

    Attributes:
        rows: the images.
        parts: counts for each criterion.
        classes: names of the teacher's K classes.
        sources: names of the pools, by index.
        found: int64 `[K]`, distinct images of the pools that the teacher predicts as each class.
        count: number of images wanted.
        seed: of random draws.
    """

    rows: ChosenRows
    parts: tuple[PartCounts, ...]
    classes: tuple[str, ...]
    sources: tuple[str, ...]
    found: np.ndarray
    count: int
    seed: int

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def wanted(self) -> np.ndarray | None:
        """Sum of the criteria's equal shares, int64 `[K]`; None if no criterion has any."""
        shares = [part.wanted for part in self.parts if part.wanted is not None]
        return sum(shares[1:], shares[0]) if shares else None

    @property
    def distinct(self) -> np.ndarray:
        """Number of distinct images of each class, int64 `[K]`."""
        return sum((part.distinct for part in self.parts), np.zeros(len(self.classes), dtype=np.int64))

    @property
    def repeated(self) -> np.ndarray:
        """Number of repetitions of images of each class, int64 `[K]`."""
        return sum((part.repeated for part in self.parts), np.zeros(len(self.classes), dtype=np.int64))

    @property
    def short(self) -> np.ndarray:
        """Images that each class lacks of its equal share, int64 `[K]`, even if other classes make up for them."""
        lacking = [part.wanted - part.distinct - part.repeated for part in self.parts if part.wanted is not None]
        return sum((counts.clip(min=0) for counts in lacking), np.zeros(len(self.classes), dtype=np.int64))

    @property
    def beyond_share(self) -> np.ndarray:
        """Images of each class beyond its equal share, in place of those that other classes lack, int64 `[K]`."""
        beyond = [part.distinct - part.wanted for part in self.parts if part.wanted is not None]
        return sum((counts.clip(min=0) for counts in beyond), np.zeros(len(self.classes), dtype=np.int64))

    @property
    def takes_all(self) -> str:
        """A sentence, without a full stop, if a criterion had nothing to choose; "" otherwise, or if all are random."""
        criteria = [repr(part.by) for part in self.parts if part.by not in ("random", NONE)]
        count = int(self.found.sum())
        if not criteria or int(self.distinct.sum()) < count:
            return ""
        but = " but what is shown again" if self.repeated.any() else ""
        all_ = f"The budget takes all {count:,} distinct images of the pools"
        return f"{all_}, so {listing(criteria)} had nothing to choose{but}"

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on how images were chosen."""
        return tuple(
            f"By {part.by}: chosen among {part.candidates:,} of {int(part.passed.sum()):,} images, drawn at random, "
            "equally many of every class, so that the embeddings fit into memory."
            for part in self.parts
            if part.candidates is not None
        )


def looked_up(table: ScoreTable, sources: np.ndarray, ids: np.ndarray, *columns: str) -> dict[str, np.ndarray]:
    """Columns of some distinct rows of a table, in the order of those rows.

    Args:
        table: read a million rows at a time.
        sources, ids: int64 `[n]`, indices into the table's `sources`, and ids.
        columns: their names.
    """
    result: dict[str, np.ndarray] = {}
    order = np.lexsort((ids, sources))
    sorted_sources, sorted_ids = sources[order], ids[order]
    for batch in table.batches("id", "source", *columns):
        for place in np.unique(batch["source"]):
            first, last = np.searchsorted(sorted_sources, [place, place + 1])
            if first == last:
                continue
            own, rows = sorted_ids[first:last], np.flatnonzero(batch["source"] == place)
            at = np.searchsorted(own, batch["id"][rows]).clip(max=len(own) - 1)
            hit = own[at] == batch["id"][rows]
            for name in columns:
                values = result.setdefault(name, np.empty(len(ids), dtype=batch[name].dtype))
                values[order[first + at[hit]]] = batch[name][rows[hit]]
    return result
