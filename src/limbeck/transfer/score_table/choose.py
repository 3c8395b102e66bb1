"""Selecting from a table of scores alone: no images are read, and memory does not grow with the table."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from limbeck.data import TransferSet
from limbeck.errors import UserError, unknown_name
from limbeck.files import atomic_path
from limbeck.randomness import check_seed
from limbeck.transfer.allocation import CLUSTER_SHARES, shares, stratum_of
from limbeck.transfer.budget import Budget, parse_budget
from limbeck.transfer.clusters import GROUPS
from limbeck.transfer.criteria import Criterion, find_criterion
from limbeck.transfer.parts import left_out
from limbeck.transfer.score_table.radix import Keys, Thresholds, smallest, sortable
from limbeck.transfer.score_table.read import ScoreTable
from limbeck.transfer.scoring.scores import uniform53
from limbeck.transfer.summary import Summary, summarise

if TYPE_CHECKING:
    from limbeck.data import ImageSet

FROM_SCORES = (
    "top-n",
    "top-n-per-class",
    "coverage",
    *(f"{name}{each}" for name in GROUPS for each in ("", "-per-class")),
)
"""Allocations that measure no distances, but for those between clusters that the table knows."""


@dataclass(frozen=True, eq=False, kw_only=True)
class TableSelection:
    """What was chosen from a table of scores, read again from the table whenever it is asked for.

    Attributes:
        table: where the scores are.
        ids: int64 `[n]`, of the chosen images in the order of the table.
        criterion, budget, seed: how.

    Example:
        >>> chosen = select_from_scores("scores.parquet", criterion="variance", budget="10/class")
        >>> chosen.count
        100
    """

    table: ScoreTable
    ids: Tensor
    criterion: Criterion
    budget: Budget
    seed: int
    _chosen: Callable[[], Iterator[tuple[np.ndarray, np.ndarray]]]
    _read: "_Rows"

    @property
    def count(self) -> int:
        """How many were chosen."""
        return len(self.ids)

    def rows(self) -> Iterator[dict[str, np.ndarray]]:
        """One pass over the table: id, score, chosen, and label and group if there are any, of 2^20 rows at a time."""
        ids = self.ids.sort().values.numpy()
        more = {"label": None if self.table.labels is None else "label", "group": self.criterion.clusters_column}
        columns = {name: column for name, column in more.items() if column is not None}
        for found, scores, batch in self._read.read(*columns.values()):
            places = np.searchsorted(ids, found).clip(max=len(ids) - 1)
            known = {name: batch[column] for name, column in columns.items()}
            yield {"id": found, "score": scores, "chosen": ids[places] == found, **known}

    def summary(self) -> Summary:
        """The selection in numbers; of random scores, without their distribution."""
        wanted = ["chosen", "label", "group", *(() if self.criterion.score == "random" else ("score",))]
        return summarise(lambda: ({name: batch[name] for name in wanted if name in batch} for batch in self.rows()))

    def to_parquet(self, path: str | Path) -> None:
        """Write id and score of the chosen images to `path`, whole or not at all, in memory that does not grow."""
        schema = pa.schema([("id", pa.int64()), ("score", pa.float64())])
        with atomic_path(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
            for ids, scores in self._chosen():
                writer.write_table(pa.table({"id": ids, "score": scores}, schema=schema))

    def transfer_set(self, images: "ImageSet") -> TransferSet:
        """The chosen images with their provenance; `images` is the set that was scored.

        Raises:
            UserError: it is another one, by its name or by the size of its images.
        """
        self._check_source(images)
        ids, scores = (torch.from_numpy(np.concatenate(column)) for column in zip(*self._chosen(), strict=True))
        maker = f"select/{self.criterion.name}"
        provenance = {
            "source": [self.table.name] * len(ids),
            "source_id": ids,
            "score": scores,
            "maker": [maker] * len(ids),
        }
        about = {
            "maker": maker,
            "criterion": self.criterion.described(),
            "budget": self.budget.label,
            "seed": self.seed,
        }
        return TransferSet(images.subset(ids), provenance=provenance, about=about)

    def _check_source(self, images: "ImageSet") -> None:
        scored = {"name": images.name, "shape": list(images.shape)}
        for key, found in scored.items():
            known = self.table.about.get(key, found)
            if known != found:
                raise UserError(
                    f"{str(self.table.path)!r} holds scores of images whose {key} is {known}, got {found} of "
                    f"{images.name!r}; score these images, or choose ids alone without them."
                )


def select_from_scores(
    table: str | Path | ScoreTable,
    *,
    criterion: str | Mapping[str, Any] | Criterion,
    budget: str | int | float | Budget,
    seed: int = 0,
) -> TableSelection:
    """The images that `select` would choose, from their scores alone.

    Args:
        table: made by `score_table`; only the columns of the criterion are read.
        criterion: as for `select`; greedy allocations, which measure distances on the way, need the images.
        budget: as for `select`.
        seed: of random scores and orders; for criteria that train networks or go by clusters the table's own.

    Raises:
        UserError: the table lacks the criterion's scores or clusters, holds scores that are not finite, or was made
            with another seed; see `select`.

    Example:
        >>> select_from_scores("scores.parquet", criterion="entropy", budget="10%").to_parquet("chosen.parquet")
        >>> len(lb.transfer.select.ScoreTable("chosen.parquet"))
        20
    """
    table = table if isinstance(table, ScoreTable) else ScoreTable(table)
    criterion, budget = find_criterion(criterion), parse_budget(budget)
    check_seed(seed)
    _check(table, criterion, seed)
    n = budget.resolve(table, per_class=criterion.per_class)
    rows = _Rows(table, criterion, seed)
    if criterion.allocation == "coverage":
        thresholds, read = _coverage(rows, n, criterion)
    elif criterion.clusters_column is not None:
        thresholds, read = _of_clusters(rows, n, criterion)
    else:
        sizes = np.array([len(table)]) if not criterion.per_class else table.class_counts().numpy()
        quotas = shares(n, torch.from_numpy(sizes)).numpy()
        read = rows.by_class if criterion.per_class else rows.all_together
        thresholds = smallest(lambda: (keys for keys, _ in read()), quotas, sizes)

    def chosen() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for keys, scores in read():
            mask = thresholds.chosen(*keys)
            yield keys[2][mask], scores[mask]

    ids = np.concatenate([some for some, _ in chosen()])
    _check_distinct(ids, table)
    assert len(ids) == n
    return TableSelection(
        table=table,
        ids=torch.from_numpy(ids),
        criterion=criterion,
        budget=budget,
        seed=seed,
        _chosen=chosen,
        _read=rows,
    )


def _check(table: ScoreTable, criterion: Criterion, seed: int) -> None:
    if criterion.allocation not in FROM_SCORES:
        raise UserError(
            f"allocation {criterion.allocation!r} needs more than a table of scores; choose from the images, or use "
            f"{', '.join(map(repr, FROM_SCORES))}."
        )
    clusters = criterion.clusters_column
    for column in (None if criterion.score == "random" else criterion.column, clusters):
        if column is not None and column not in table.columns:
            hint = f"Score the images by {criterion.name!r} first (`limbeck score`)."
            raise unknown_name(f"column of {str(table.path)!r}:", column, table.columns, hint)
    made = table.about.get("seed", seed)
    if criterion.seeded and made != seed:
        raise UserError(
            f"`seed` must be {made}, with which {str(table.path)!r} was made for {criterion.name!r}, got {seed}; score "
            "again with that seed for others."
        )


def _check_distinct(ids: np.ndarray, table: ScoreTable) -> None:
    """Images that are there twice lie side by side in a ranking, so that they are among the chosen if it matters."""
    ordered = np.sort(ids)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(twice):
        raise UserError(f"column 'id' of {str(table.path)!r} must be distinct, got {twice[0]} more than once.")


Read = Callable[[], Iterator[tuple[Keys, np.ndarray]]]


class _Rows:
    """Passes over a table: groups, keys and ids of its rows, and their scores."""

    def __init__(self, table: ScoreTable, criterion: Criterion, seed: int) -> None:
        self.table = table
        self.criterion = criterion
        self.seed = seed

    def all_together(self) -> Iterator[tuple[Keys, np.ndarray]]:
        for ids, scores, _ in self.read():
            yield (np.zeros(len(ids), dtype=np.int64), self.keys(ids, scores), ids), scores

    def by_class(self) -> Iterator[tuple[Keys, np.ndarray]]:
        for ids, scores, labels in self.read("label"):
            yield (labels["label"], self.keys(ids, scores), ids), scores

    def read(self, *more: str) -> Iterator[tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]]:
        """(ids, scores, the other columns) of a million rows at a time."""
        random = self.criterion.score == "random"
        columns = ["id", *more] if random else ["id", self.criterion.column, *more]
        for batch in self.table.batches(*columns):
            ids = batch["id"]
            scores = self.uniform(ids, self.criterion.stream("random")) if random else batch[self.criterion.column]
            if not np.isfinite(scores).all():
                first = ids[~np.isfinite(scores)][0]
                raise UserError(
                    f"column {self.criterion.column!r} of {str(self.table.path)!r} is not finite for id {first}; "
                    "score again, or choose another criterion."
                )
            yield ids, scores, batch

    def by_cluster(self) -> Iterator[tuple[Keys, np.ndarray]]:
        column = self.criterion.clusters_column
        assert column is not None, "criteria without clusters are spread by class or all together"
        for ids, scores, batch in self.read(column):
            yield (batch[column], self.keys(ids, scores), ids), scores

    def keys(self, ids: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """uint64 `[B]`, smallest for the most preferred."""
        if self.criterion.order == "random":
            return sortable(self.uniform(ids, self.criterion.stream("order")), descending=False)
        return sortable(scores, descending=self.criterion.order == "highest")

    def uniform(self, ids: np.ndarray, stream: str) -> np.ndarray:
        return uniform53(_tensor(ids), self.seed, stream).numpy()


def _tensor(array: np.ndarray) -> Tensor:
    """Arrow's memory is read-only, which tensors cannot be."""
    return torch.from_numpy(np.require(array, requirements="W"))


def _of_clusters(rows: _Rows, n: int, criterion: Criterion) -> tuple[Thresholds, Read]:
    """As `allocation.k_means` and `manifold`: the clusters' shares, in the order of their most preferred images."""
    name = criterion.allocation.removesuffix("-per-class")
    found = _clusters(rows)
    quotas = np.zeros(int(found["group"].max()) + 1, dtype=np.int64)
    sizes = quotas.copy()
    sizes[found["group"]] = found["count"]
    classes = {-1: n}
    if criterion.per_class:
        classes = dict(enumerate(shares(n, rows.table.class_counts()).tolist()))
    for label, quota in classes.items():
        inside = found["group"][found["label"] == label]
        if quota:
            quotas[inside] = CLUSTER_SHARES[name](quota, torch.from_numpy(sizes[inside])).numpy()
    return smallest(lambda: (keys for keys, _ in rows.by_cluster()), quotas, sizes), rows.by_cluster


def _clusters(rows: _Rows) -> dict[str, np.ndarray]:
    """Number, images and class (-1 where that does not matter) of every cluster, most preferred first image first."""
    column, labels = rows.criterion.clusters_column, ("label",) if rows.criterion.per_class else ()
    assert column is not None, "criteria without clusters are spread by class or all together"
    parts = []
    for ids, scores, batch in rows.read(column, *labels):
        if batch[column].min() < 0:
            first = ids[batch[column] < 0][0]
            raise UserError(
                f"column {column!r} of {str(rows.table.path)!r} holds no cluster for id {first}; score again."
            )
        label = batch["label"] if labels else np.full(len(ids), -1)
        parts.append(_first_of_each(batch[column], rows.keys(ids, scores), ids, label, np.ones_like(ids)))
    groups, keys, ids, label, count = _first_of_each(*map(np.concatenate, zip(*parts, strict=True)))
    order = np.lexsort((ids, keys))
    return {"group": groups[order], "label": label[order], "count": count[order]}


def _first_of_each(
    groups: np.ndarray, keys: np.ndarray, ids: np.ndarray, labels: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, ...]:
    """The row of smallest (key, id) of every group, with the sum of its counts."""
    sums = np.zeros(int(groups.max()) + 1, dtype=np.int64)
    np.add.at(sums, groups, counts)
    least = np.full(len(sums), np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(least, groups, keys)
    rows = np.flatnonzero(keys == least[groups])  # few enough to sort
    rows = rows[np.lexsort((ids[rows], groups[rows]))]
    rows = rows[np.diff(groups[rows], prepend=-1) > 0]
    return groups[rows], keys[rows], ids[rows], labels[rows], sums[groups[rows]]


def _coverage(rows: _Rows, n: int, criterion: Criterion) -> tuple[Thresholds, Read]:
    """As `allocation.coverage`: cut off the hardest, find the strata, draw from each."""
    total = len(rows.table)
    hardest = left_out(criterion.option("cutoff"), total, n)
    cut = smallest(lambda: (keys for keys, _ in rows.all_together()), np.array([hardest]), np.array([total]))
    lowest, highest = np.inf, -np.inf
    for keys, scores in rows.all_together():
        kept = scores[~cut.chosen(*keys)]
        if len(kept):
            lowest, highest = min(lowest, kept.min()), max(highest, kept.max())
    low, high = torch.tensor(lowest, dtype=torch.float64), torch.tensor(highest, dtype=torch.float64)
    count = criterion.option("strata")

    def read() -> Iterator[tuple[Keys, np.ndarray]]:
        for keys, scores in rows.all_together():
            strata = stratum_of(_tensor(scores), low, high, count).numpy()
            strata[cut.chosen(*keys)] = -1
            yield (strata, sortable(rows.uniform(keys[2], "coverage"), descending=False), keys[2]), scores

    sizes = np.zeros(count, dtype=np.int64)
    for (strata, _, _), _ in read():
        sizes += np.bincount(strata[strata >= 0], minlength=count)
    quotas = shares(n, torch.from_numpy(sizes)).numpy()
    return smallest(lambda: (keys for keys, _ in read()), quotas, sizes), read
