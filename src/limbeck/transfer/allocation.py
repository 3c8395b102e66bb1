"""Dividing a budget among classes, clusters and strata of ranked rows: how many images each gives, exactly n in all.

A criterion ranks the rows, and every class, cluster or stratum gives its most preferred ones. Only counts of the rows
are kept in memory, so a table may have any length.
"""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from limbeck.errors import UserError
from limbeck.transfer.parts import ALLOCATIONS, left_out
from limbeck.transfer.score_table.radix import Keys
from limbeck.transfer.score_table.rows import Candidates, Rows

Quotas = np.ndarray
"""Images to take from each class, int64 `[C]`; a criterion over the whole set has a single class."""


@dataclass(frozen=True)
class AllocationPlan:
    """What an allocation decides: groups of rows, and how many rows to take from the top of each.

    Attributes:
        columns: of the table, those that the functions read.
        keys: group (-1 for none) and key of each row.
        quotas: int64 `[G]`, images to take from each group.
        sizes: int64 `[G]`, rows of each group.
        shown: the number under which reports show the group of each row, int64 `[B]`, >= 0; None where the groups are
            just the classes.
    """

    columns: tuple[str, ...]
    keys: Callable[[Rows], Keys]
    quotas: np.ndarray
    sizes: np.ndarray
    shown: Callable[[Rows], np.ndarray] | None = None


def top_n(candidates: Candidates, quotas: Quotas) -> AllocationPlan:
    """The most preferred images of every class."""
    return AllocationPlan(
        candidates.class_column,
        lambda rows: (candidates.classes_of(rows), candidates.ranking_keys(rows)),
        quotas,
        candidates.sizes_of_classes(),
    )


def k_means(candidates: Candidates, quotas: Quotas) -> AllocationPlan:
    """The most preferred images of every cluster, in proportion to its size, by largest remainder."""
    return _of_clusters(candidates, quotas, proportional_shares)


def manifold(candidates: Candidates, quotas: Quotas) -> AllocationPlan:
    """One image of every cluster of a t-SNE map in turn, until the quota is met; empty clusters are skipped.

    Source: the "manifold learning" of Kinnas et al., "Selecting images with entropy for frugal knowledge
    distillation", IEEE Access 2025,
    https://github.com/michaelkinnas/Selecting-Images-with-Entropy-for-Frugal-Knowledge-Distillation.
    """
    return _of_clusters(candidates, quotas, shares)


def _of_clusters(candidates: Candidates, quotas: Quotas, share: Callable[[int, Tensor], Tensor]) -> AllocationPlan:
    """Divides each class's quota among its clusters, which are ordered by their most preferred images."""
    column = candidates.criterion.clusters_column
    assert column is not None, "allocations by clusters have a column of them"
    clusters = _clusters(candidates, column)
    sizes = np.zeros(int(clusters["group"].max()) + 1, dtype=np.int64)
    sizes[clusters["group"]] = clusters["count"]
    of_clusters, numbers = np.zeros_like(sizes), np.zeros_like(sizes)
    start = 0
    for label, quota in enumerate(quotas.tolist()):
        inside = clusters["group"][clusters["label"] == label]
        if quota:
            of_clusters[inside] = share(quota, torch.from_numpy(sizes[inside])).numpy()
        numbers[inside] = np.arange(start, start + len(inside))
        start += len(inside)
    return AllocationPlan(
        (column,),
        lambda rows: (rows.columns[column], candidates.ranking_keys(rows)),
        of_clusters,
        sizes,
        lambda rows: numbers[rows.columns[column]],
    )


def _clusters(candidates: Candidates, column: str) -> dict[str, np.ndarray]:
    """Number ("group"), class ("label") and size ("count") of every cluster, int64 `[G]` each, by their best images."""
    parts = []
    for rows in candidates.read(column, *candidates.class_column):
        clusters = rows.columns[column]
        if clusters.min(initial=0) < 0:
            first = rows.ids[clusters < 0][0]
            raise UserError(
                f"column {column!r} of {candidates.table.title} holds no cluster for id {first}; score again."
            )
        parts.append(
            _first_of_each(clusters, candidates.ranking_keys(rows), candidates.classes_of(rows), np.ones_like(clusters))
        )
    groups, labels, counts = (np.concatenate([part[index] for part in parts]) for index in (0, 2, 3))
    words = tuple(np.concatenate(word) for word in zip(*(part[1] for part in parts), strict=True))
    groups, words, labels, counts = _first_of_each(groups, words, labels, counts)
    order = np.lexsort(words[::-1])
    return {"group": groups[order], "label": labels[order], "count": counts[order]}


def _first_of_each(
    groups: np.ndarray, words: tuple[np.ndarray, ...], labels: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, tuple[np.ndarray, ...], np.ndarray, np.ndarray]:
    """Group, key and class of the row with the smallest key in every group, and the sum of the group's counts."""
    sums = np.zeros(int(groups.max(initial=0)) + 1, dtype=np.int64)
    np.add.at(sums, groups, counts)
    least = np.full(len(sums), np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(least, groups, words[0])
    rows = np.flatnonzero(words[0] == least[groups])  # few enough to sort
    rows = rows[np.lexsort((*(word[rows] for word in words[:0:-1]), groups[rows]))]
    rows = rows[np.diff(groups[rows], prepend=-1) > 0]
    return groups[rows], tuple(word[rows] for word in words), labels[rows], sums[groups[rows]]


def coverage(candidates: Candidates, quotas: Quotas) -> AllocationPlan:
    """Random images, equally many of every stratum of the scores, after the hardest are left out.

    Strata have equal width in score; there are 50 by default, as published. The option `cutoff` is the share of the
    images that is left out, by default the authors' value for the budget, see `left_out`. They are those at the hard
    end of the score, whatever the order of the criterion: the lowest of a margin, the highest of el2n; a random order
    leaves out none. The authors cut off and stratify by the margin accumulated over a training; here, both use the
    criterion's score.

    Source: Zheng et al., "Coverage-centric coreset selection for high pruning rates", ICLR 2023,
    https://arxiv.org/abs/2210.15809, https://github.com/haizhongzheng/Coverage-centric-coreset-selection.
    """
    criterion, column = candidates.criterion, candidates.class_column
    options = criterion.options_of(ALLOCATIONS[criterion.allocation])
    cutoff, count = options["cutoff"], options["strata"]
    sizes = candidates.sizes_of_classes()
    hardest = np.array([left_out(cutoff, size, n) for size, n in zip(sizes.tolist(), quotas.tolist(), strict=True)])
    cut = candidates.smallest(
        lambda: ((candidates.classes_of(rows), candidates.hardness_keys(rows)) for rows in candidates.read(*column)),
        hardest,
        sizes,
    )
    strata = _Strata(candidates, cut.chosen, count)
    filled = np.zeros(len(sizes) * count, dtype=np.int64)
    for rows in candidates.read(*column):
        groups = strata.of(rows)
        filled += np.bincount(groups[groups >= 0], minlength=len(filled))
    of_classes = filled.reshape(-1, count)
    of_strata = [
        shares(n, torch.from_numpy(counts)).numpy() for n, counts in zip(quotas.tolist(), of_classes, strict=True)
    ]
    highest = np.array([counts.nonzero()[0].max(initial=-1) for counts in of_classes])  # stratum with images
    first = (highest + 1 + (hardest > 0)).cumsum() - (highest + 1 + (hardest > 0))

    def shown(rows: Rows) -> np.ndarray:
        classes, groups = candidates.classes_of(rows), strata.of(rows)
        return first[classes] + np.where(groups >= 0, groups - classes * count, highest[classes] + 1)

    return AllocationPlan(
        column,
        lambda rows: (strata.of(rows), candidates.drawn(rows, "coverage")),
        np.concatenate(of_strata),
        filled,
        shown,
    )


class _Strata:
    """Intervals of equal width between the lowest and highest score of each class, its hardest images left out."""

    def __init__(
        self, candidates: Candidates, is_hard: Callable[[np.ndarray, tuple[np.ndarray, ...]], np.ndarray], count: int
    ) -> None:
        self.candidates, self.is_hard, self.count = candidates, is_hard, count
        classes = len(candidates.sizes_of_classes())
        lowest, highest = np.full(classes, np.inf), np.full(classes, -np.inf)
        for rows in candidates.read(*candidates.class_column):
            inside, kept = candidates.classes_of(rows), ~self._hard(rows)
            np.minimum.at(lowest, inside[kept], rows.scores[kept])
            np.maximum.at(highest, inside[kept], rows.scores[kept])
        self.lowest, self.highest = torch.from_numpy(lowest), torch.from_numpy(highest)

    def _hard(self, rows: Rows) -> np.ndarray:
        return self.is_hard(self.candidates.classes_of(rows), self.candidates.hardness_keys(rows))

    def of(self, rows: Rows) -> np.ndarray:
        """Class x `count` + stratum, int64 `[B]`; -1 for the hardest images."""
        classes = torch.from_numpy(np.array(self.candidates.classes_of(rows)))
        scores = torch.from_numpy(np.array(rows.scores))
        # Scores of images that are left out may lie outside; they are in no stratum.
        groups = classes * self.count + stratum_of(scores, self.lowest[classes], self.highest[classes], self.count)
        return np.where(self._hard(rows), -1, groups.numpy())


def shares(n: int, sizes: Tensor) -> Tensor:
    """Equal shares of `n` for groups of `sizes`, int64 `[G]`, that sum to exactly `n`.

    By the method of largest remainder; all remainders are equal here, so the images left over go one each to the groups
    of lowest index. A group smaller than its share gives all it has and the others make up for the rest, so shares
    differ by at most one unless the smaller group is exhausted.

    Args:
        n: 0..sum(sizes).
        sizes: int64 `[G]`, >= 0.

    Example:
        >>> shares(10, torch.tensor([9, 2, 9]))
        tensor([4, 2, 4])
    """
    levels = range(int(sizes.max()) + 1)
    level = bisect_right(levels, n, key=lambda level: int(sizes.clamp(max=level).sum())) - 1
    quotas = sizes.clamp(max=level)
    with_more = (sizes > level).nonzero().flatten()
    quotas[with_more[: n - int(quotas.sum())]] += 1
    return quotas


def proportional_shares(n: int, sizes: Tensor) -> Tensor:
    """Shares of `n` in proportion to `sizes`, int64 `[G]`, that sum to exactly `n`.

    By the method of largest remainder; of equal remainders, the group of lowest index comes first. Every share differs
    from the exact one by less than one, and is at most the size of its group.

    Args:
        n: 0..sum(sizes).
        sizes: int64 `[G]`, >= 0, at least one above 0.

    Example:
        >>> proportional_shares(5, torch.tensor([6, 3, 1]))
        tensor([3, 2, 0])
    """
    total = int(sizes.sum())
    quotas, remainders = sizes * n // total, sizes * n % total
    largest_first = remainders.argsort(descending=True, stable=True)
    quotas[largest_first[: n - int(quotas.sum())]] += 1
    return quotas


def stratum_of(scores: Tensor, lowest: Tensor, highest: Tensor, count: int) -> Tensor:
    """Which of `count` intervals of equal width from `lowest` to `highest` each score lies in, int64 `[N]`.

    Equal extremes make one stratum, of number 0.
    """
    width = highest - lowest
    share = (scores - lowest) / torch.where(width > 0, width, torch.ones_like(width))
    return (share * count).long().clamp_(0, count - 1)
