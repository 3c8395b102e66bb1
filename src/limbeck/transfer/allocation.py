"""Spreading a budget over ranked images: functions from a ranking to the positions chosen, always exactly n of them.

A ranking is int64 `[N]`: positions in the set, most preferred first.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from limbeck.transfer.clusters import GROUPS
from limbeck.transfer.criteria import ALLOCATIONS as ENTRIES
from limbeck.transfer.criteria import Order
from limbeck.transfer.greedy import herding, k_centre
from limbeck.transfer.parts import left_out
from limbeck.transfer.scoring.scores import uniform53


def rank(scores: Tensor, ids: Tensor, order: Order = "highest", *, seed: int = 0, stream: str = "order") -> Tensor:
    """Positions by score, equal scores by ascending id: the same images in whatever order the set stores them.

    Args:
        scores: `[N]`, finite.
        ids: int64 `[N]`, distinct.
        order: which end comes first; "random" is any order, whatever the scores.
        seed, stream: of the random order, see `Criterion.stream`.
    """
    by_id = ids.argsort()
    keys = uniform53(ids, seed, stream) if order == "random" else scores
    return by_id[keys[by_id].argsort(stable=True, descending=order == "highest")]


@dataclass(frozen=True, eq=False)
class Ranked:
    """What an allocation may know of the images, all in the order of the ranking: the most preferred is row 0.

    Attributes:
        scores: `[N]`.
        ids: int64 `[N]`.
        labels: int64 `[N]`, or None.
        features: gives `[N, D]`, where distances are measured.
        options: of the criterion, complete.
        seed: of clusterings and draws.
    """

    scores: Tensor
    ids: Tensor
    labels: Tensor | None
    features: Callable[[], Tensor]
    options: Mapping[str, Any]
    seed: int

    def __len__(self) -> int:
        return len(self.ids)

    def part(self, rows: Tensor) -> "Ranked":
        """The images at `rows` (int64, ascending) alone."""
        return Ranked(
            self.scores[rows],
            self.ids[rows],
            None if self.labels is None else self.labels[rows],
            lambda: self.features()[rows],
            self.options,
            self.seed,
        )


class Allocated(NamedTuple):
    """Rows of the ranking that are chosen, most preferred first, and the group `[N]` of every image, if any."""

    rows: Tensor
    groups: Tensor | None = None


Allocate = Callable[[Ranked, int], Allocated]


def top_n(ranked: Ranked, n: int) -> Allocated:
    """The first `n`."""
    return Allocated(torch.arange(n))


def k_means(ranked: Ranked, n: int) -> Allocated:
    """The first of every cluster, as many as its share of the images; exactly `n` by largest remainder."""
    return _of_clusters(ranked, n, "k-means")


def manifold(ranked: Ranked, n: int) -> Allocated:
    """One image of every cluster of a t-SNE map in turn, until there are `n`; a cluster that is used up is passed over.

    Source: the "manifold learning" of Kinnas et al., "Selecting images with entropy for frugal knowledge
    distillation", IEEE Access 2025,
    https://github.com/michaelkinnas/Selecting-Images-with-Entropy-for-Frugal-Knowledge-Distillation.
    """
    return _of_clusters(ranked, n, "manifold")


def _of_clusters(ranked: Ranked, n: int, name: str) -> Allocated:
    groups = GROUPS[name](ranked.features(), ranked.ids, ranked.options, ranked.seed)
    return Allocated(_first_of_groups(groups, CLUSTER_SHARES[name](n, torch.bincount(groups))), groups)


def coverage(ranked: Ranked, n: int) -> Allocated:
    """Any images, equally many of every stratum of the scores, after the first in the ranking are left out as too hard.

    Strata are of equal width in score, 50 by default as published. The option `cutoff` is the share of the images that
    is left out; by default the authors' for the budget, see `left_out`. They cut off, and draw strata of, the margin
    accumulated over a training; here it is the criterion's score for both.

    Source: Zheng et al., "Coverage-centric coreset selection for high pruning rates", ICLR 2023,
    https://arxiv.org/abs/2210.15809, https://github.com/haizhongzheng/Coverage-centric-coreset-selection.
    """
    hardest = left_out(ranked.options["cutoff"], len(ranked), n)
    groups = strata(ranked.scores[hardest:], ranked.options["strata"])
    drawn = rank(ranked.scores[hardest:], ranked.ids[hardest:], "random", seed=ranked.seed, stream="coverage")
    rows = top_n_per_group(drawn, n, groups).sort().values + hardest
    whole = torch.full((len(ranked),), int(groups.max()) + 1)
    whole[hardest:] = groups
    return Allocated(rows, whole)


def per_class(allocate: Allocate) -> Allocate:
    """`allocate` within every class, in the `shares` of the budget."""

    def allocate_per_class(ranked: Ranked, n: int) -> Allocated:
        assert ranked.labels is not None, "budgets per class are refused for unlabelled images before"
        sizes = torch.bincount(ranked.labels)
        by_class = ranked.labels.argsort(stable=True).split(sizes.tolist())
        rows, groups, known = [], torch.zeros(len(ranked), dtype=torch.int64), 0
        for members, quota in zip(by_class, shares(n, sizes).tolist(), strict=True):
            if quota == 0:
                groups[members] = known
                known += len(members) > 0
                continue
            chosen = allocate(ranked.part(members), quota)
            rows.append(members[chosen.rows])
            groups[members] = known + (chosen.groups if chosen.groups is not None else 0)
            known = int(groups[members].max()) + 1
        return Allocated(torch.cat(rows).sort().values, groups)

    return allocate_per_class


def top_n_per_class(ranked: Ranked, n: int) -> Allocated:
    """`per_class(top_n)`, without a loop over the classes."""
    assert ranked.labels is not None, "budgets per class are refused for unlabelled images before"
    return Allocated(top_n_per_group(torch.arange(len(ranked)), n, ranked.labels))


def top_n_per_group(ranking: Tensor, n: int, groups: Tensor) -> Tensor:
    """The first of every group, in the `shares` of `n`; groups int64 `[N]`, >= 0, some may be empty."""
    quotas = shares(n, torch.bincount(groups))
    return ranking[_first_of_groups(groups[ranking], quotas)]


def _first_of_groups(ranked_groups: Tensor, quotas: Tensor) -> Tensor:
    """Rows of the first of every group, as many as its quota."""
    sizes = torch.bincount(ranked_groups)
    place = torch.empty_like(ranked_groups)  # of an image among those of its group
    place[ranked_groups.argsort(stable=True)] = torch.arange(len(ranked_groups)) - (
        sizes.cumsum(0) - sizes
    ).repeat_interleave(sizes)
    return (place < quotas[ranked_groups]).nonzero().flatten()


def shares(n: int, sizes: Tensor) -> Tensor:
    """Equal shares of `n` for groups of `sizes`, int64 `[G]`, that sum to exactly `n`.

    Every group gets the same number, by the method of largest remainder; remainders of equal shares are equal, so the
    images left over go one each to the groups of lowest index. A group with fewer images than its share gives all it
    has and passes the rest on to the others, so that no share exceeds another's by more than one unless the smaller
    group is used up.

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

    By the method of largest remainder; of equal remainders the group of lowest index comes first. No share is more
    than one away from the exact one, and none is above the size of its group.

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


CLUSTER_SHARES = {"k-means": proportional_shares, "manifold": shares}
"""What each allocation that goes by clusters gives them: from n and their sizes, in the order of the ranking."""


def strata(scores: Tensor, count: int) -> Tensor:
    """Which of `count` intervals of equal width between the extremes each score lies in, int64 `[N]`."""
    lowest, highest = scores.min(), scores.max()
    return stratum_of(scores, lowest, highest, count)


def stratum_of(scores: Tensor, lowest: Tensor, highest: Tensor, count: int) -> Tensor:
    """As `strata`, between given extremes; equal extremes make one stratum."""
    width = highest - lowest
    share = (scores - lowest) / torch.where(width > 0, width, torch.ones_like(width))
    return (share * count).long().clamp_(0, count - 1)


_WHOLE: dict[str, Allocate] = {
    "top-n": top_n,
    "k-means": k_means,
    "manifold": manifold,
    "coverage": coverage,
    "k-centre": lambda ranked, n: Allocated(k_centre(ranked.features(), n)),
    "herding": lambda ranked, n: Allocated(herding(ranked.features(), n)),
}

ALLOCATIONS: dict[str, Allocate] = {
    name: one
    for whole, allocate in _WHOLE.items()
    for name, one in ((whole, allocate), (f"{whole}-per-class", per_class(allocate)))
} | {"top-n-per-class": top_n_per_class}
assert ALLOCATIONS.keys() == ENTRIES.keys()
