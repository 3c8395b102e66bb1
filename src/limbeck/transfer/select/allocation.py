"""Spreading a budget over ranked images: functions from a ranking to the positions chosen, always exactly n of them.

A ranking is int64 `[N]`: positions in the set, most preferred first. What is chosen keeps its order.
"""

from bisect import bisect_right
from collections.abc import Callable

import torch
from torch import Tensor

from limbeck.transfer.select.catalogue import Order


def rank(scores: Tensor, ids: Tensor, order: Order = "highest") -> Tensor:
    """Positions by score, equal scores by ascending id: the same images in whatever order the set stores them.

    Args:
        scores: `[N]`, finite.
        ids: int64 `[N]`, distinct.
        order: which end comes first.
    """
    by_id = ids.argsort()
    return by_id[scores[by_id].argsort(stable=True, descending=order == "highest")]


def top_n(ranking: Tensor, n: int, labels: Tensor | None = None) -> Tensor:
    """The first `n` of the whole set; 1 <= n <= N, labels are not used."""
    return ranking[:n]


def top_n_per_class(ranking: Tensor, n: int, labels: Tensor | None) -> Tensor:
    """The first of every class, in the `shares` of `n`; labels int64 `[N]`."""
    assert labels is not None, "budgets per class are refused for unlabelled images before"
    return top_n_per_group(ranking, n, labels)


def top_n_per_group(ranking: Tensor, n: int, groups: Tensor) -> Tensor:
    """The first of every group, in the `shares` of `n`; groups int64 `[N]`, >= 0, some may be empty."""
    sizes = torch.bincount(groups)
    ranked_groups = groups[ranking]
    place = torch.empty_like(ranking)  # of an image among those of its group
    place[ranked_groups.argsort(stable=True)] = torch.arange(len(ranking)) - (
        sizes.cumsum(0) - sizes
    ).repeat_interleave(sizes)
    return ranking[place < shares(n, sizes)[ranked_groups]]


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


ALLOCATIONS: dict[str, Callable[[Tensor, int, Tensor | None], Tensor]] = {
    "top-n": top_n,
    "top-n-per-class": top_n_per_class,
}
