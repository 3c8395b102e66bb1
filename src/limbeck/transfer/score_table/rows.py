"""The rows of a score table that a criterion can choose, and its order of preference."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from limbeck.errors import UserError, unknown_name
from limbeck.transfer.criteria import Criterion
from limbeck.transfer.parts import ALLOCATIONS
from limbeck.transfer.score_table.radix import Keys, KeyWords, Thresholds, as_unsigned, smallest, sortable
from limbeck.transfer.score_table.read import ScoreTable
from limbeck.transfer.scoring.scores import uniform53


@dataclass(frozen=True)
class Rows:
    """Some rows of a table.

    Attributes:
        ids: int64 `[B]`.
        sources: int64 `[B]`, indices into the table's `sources`; None if it has none.
        scores: float64 `[B]`, finite.
        columns: the other columns that were requested.
    """

    ids: np.ndarray
    sources: np.ndarray | None
    scores: np.ndarray
    columns: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.ids)

    def part(self, rows: np.ndarray) -> "Rows":
        """The rows at `rows`, indices int64 `[n]` or a mask bool `[B]`, without the other columns."""
        return Rows(self.ids[rows], None if self.sources is None else self.sources[rows], self.scores[rows], {})

    def hold(self, rows: "Rows") -> np.ndarray:
        """Which of some rows of the same table are among these, bool `[B]`."""
        return is_in(rows.ids, rows.sources, self.ids, self.sources)


def is_in(ids: np.ndarray, sources: np.ndarray | None, of_ids: np.ndarray, of_sources: np.ndarray | None) -> np.ndarray:
    """Which images are among others, bool `[B]`; images of different sources may share an id.

    Args:
        ids, sources: int64 `[B]` of the images; no sources where the table has none.
        of_ids, of_sources: int64 `[n]` of the others.
    """
    if sources is None or of_sources is None:
        return np.isin(ids, of_ids)
    found = np.zeros(len(ids), dtype=bool)
    for source in np.unique(of_sources):
        own = sources == source
        found[own] = np.isin(ids[own], of_ids[of_sources == source])
    return found


def joined(parts: Sequence[Rows]) -> Rows:
    """Concatenates parts of one table, at least one."""
    sources = [part.sources for part in parts if part.sources is not None]
    return Rows(
        np.concatenate([part.ids for part in parts]),
        np.concatenate(sources) if sources else None,
        np.concatenate([part.scores for part in parts]),
        {name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns},
    )


class Candidates:
    """The rows that a criterion can choose: those with a score, or all rows for random scores.

    Args:
        table: with the columns of the criterion.
        criterion: how they are scored and preferred.
        seed: of random scores and orders.
        balance: the column whose values get equal shares if the criterion works per class.

    Raises:
        UserError: the table lacks a column, or was made with another seed.
    """

    def __init__(self, table: ScoreTable, criterion: Criterion, seed: int, balance: str = "label") -> None:
        self.table = table
        self.criterion = criterion
        self.seed = seed
        self.balance = balance
        self.known = None if criterion.score == "random" else criterion.column
        _check_columns(table, criterion, seed, balance)

    # What `Budget.resolve` needs, as of an image set.

    @property
    def name(self) -> str:
        return self.table.name

    @cached_property
    def _count(self) -> int:
        return self.table.count(self.known)

    def __len__(self) -> int:
        return self._count

    @cached_property
    def _sizes(self) -> np.ndarray | None:
        return self.table.sizes(self.balance, self.known)

    @property
    def labels(self) -> np.ndarray | None:
        return self._sizes

    @property
    def classes(self) -> tuple[str, ...]:
        names, count = self.table.names(self.balance), 0 if self._sizes is None else len(self._sizes)
        return names if len(names) >= count else tuple(map(str, range(count)))

    def class_counts(self) -> Tensor:
        assert self._sizes is not None, "budgets per class are refused for unlabelled tables before"
        return torch.from_numpy(self._sizes)

    # Passes over the rows.

    def read(self, *columns: str) -> Iterator[Rows]:
        """Batches of up to a million rows, in the order of the table."""
        more = ["source"] if self.table.sources else []
        scored = [] if self.known is None else [self.known]
        for batch in self.table.batches("id", *more, *scored, *columns, known=self.known):
            ids, sources = batch["id"], batch.get("source")
            if self.known is None:
                scores = self.uniform(ids, sources, self.criterion.stream("random"))
            else:
                scores = batch[self.known]
                self._check_finite(ids, scores)
            yield Rows(ids, sources, scores, {name: batch[name] for name in columns})

    def _check_finite(self, ids: np.ndarray, scores: np.ndarray) -> None:
        if not np.isfinite(scores).all():
            first = ids[~np.isfinite(scores)][0]
            raise UserError(
                f"column {self.known!r} of {self.table.title} is not finite for id {first}; score again, or choose "
                "another criterion."
            )

    def classes_of(self, rows: Rows) -> np.ndarray:
        """The class of each row, int64 `[B]`, all 0 for criteria over the whole set; needs `read(*class_column)`."""
        return rows.columns[self.balance] if self.criterion.per_class else np.zeros(len(rows), dtype=np.int64)

    @property
    def class_column(self) -> tuple[str, ...]:
        return (self.balance,) if self.criterion.per_class else ()

    def sizes_of_classes(self) -> np.ndarray:
        """Number of rows of each class, int64 `[C]`; one class for criteria over the whole set."""
        return self.class_counts().numpy() if self.criterion.per_class else np.array([len(self)])

    def ranking_keys(self, rows: Rows) -> KeyWords:
        """Keys that sort rows by preference, the most preferred first: by score, then by id, then by source."""
        if self.criterion.order == "random":
            return self.drawn(rows, self.criterion.stream("order"))
        return self._with_ids(rows, sortable(rows.scores, descending=self.criterion.order == "highest"))

    def hardness_keys(self, rows: Rows) -> KeyWords:
        """Keys that sort rows by score, the hardest images first, whatever is preferred; then by id and source."""
        return self._with_ids(rows, sortable(rows.scores, descending=self.criterion.hard_end == "highest"))

    def drawn(self, rows: Rows, stream: str) -> KeyWords:
        """Keys that sort rows at random, independent of their scores."""
        return self._with_ids(rows, sortable(self.uniform(rows.ids, rows.sources, stream), descending=False))

    def _with_ids(self, rows: Rows, first: np.ndarray) -> KeyWords:
        words = (first, as_unsigned(rows.ids))
        return words if rows.sources is None else (*words, rows.sources.astype(np.uint64))

    def uniform(self, ids: np.ndarray, sources: np.ndarray | None, stream: str) -> np.ndarray:
        """float64 `[B]` in [0, 1), from seed, stream and ids; every source has its own stream."""
        if sources is None:
            return uniform53(_tensor(ids), self.seed, stream).numpy()
        drawn = np.empty(len(ids))
        for place in np.unique(sources):
            in_source = sources == place
            drawn[in_source] = uniform53(
                _tensor(ids[in_source]), self.seed, f"{stream}@{self.table.sources[place]}"
            ).numpy()
        return drawn

    def smallest(self, read: Callable[[], Iterator[Keys]], quotas: np.ndarray, sizes: np.ndarray) -> Thresholds:
        """See `radix.smallest`."""
        return smallest(read, quotas, sizes, words=3 if self.table.sources else 2)


def _check_columns(table: ScoreTable, criterion: Criterion, seed: int, balance: str) -> None:
    clusters = criterion.clusters_column
    for column in (None if criterion.score == "random" else criterion.column, clusters):
        if column is not None and not table.has(column):
            hint = f"Score the images by {criterion.name!r} first (`limbeck score`)."
            raise unknown_name(f"column of {table.title}:", column, table.columns, hint)
    if balance not in ("label", "group"):
        raise UserError(f"`balance` must be 'label' or 'group', got {balance!r}.")
    table_seed = table.about.get("seed", seed)
    if criterion.seeded and table_seed != seed:
        raise UserError(
            f"`seed` must be {table_seed}, with which {table.title} was made for {criterion.name!r}, got {seed}; score "
            "again with that seed for others."
        )
    if clusters is not None and criterion.per_class and balance != "label":
        raise UserError(
            f"allocation {criterion.allocation!r} has clusters within every label, and `balance` is {balance!r}; "
            f"use {', '.join(repr(name) for name in ALLOCATIONS if 'clusters' not in ALLOCATIONS[name].options)}."
        )


def _tensor(array: np.ndarray) -> Tensor:
    """A tensor of an array; copies read-only memory such as Arrow's, which tensors do not support."""
    return torch.from_numpy(np.require(array, requirements="W"))
