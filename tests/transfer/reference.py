"""Allocations as they are defined, over whole sorted lists: slow, and independent of the code that they check."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from limbeck.transfer.allocation import proportional_shares, shares, stratum_of
from limbeck.transfer.criteria import Criterion
from limbeck.transfer.parts import left_out
from limbeck.transfer.scoring.scores import uniform53

Row = dict[str, Any]
Choose = Callable[[list[Row], int], list[Row]]


def chosen(criterion: Criterion, n: int, rows: list[Row], seed: int = 0) -> list[int]:
    """Ids of the `n` rows that `criterion` prefers, most preferred first.

    Args:
        criterion: any but greedy ones.
        n: at least the number of classes, if the criterion goes by classes.
        rows: id, score, and label and cluster where it needs them; of random scores, the score is drawn here.
        seed: of random scores and orders.
    """
    ids = torch.tensor([row["id"] for row in rows])
    if criterion.score == "random":
        drawn = uniform53(ids, seed, criterion.stream("random")).tolist()
        rows = [{**row, "score": score} for row, score in zip(rows, drawn, strict=True)]
    keys = uniform53(ids, seed, criterion.stream("order")).tolist()
    sign = -1 if criterion.order == "highest" else 1
    key = {
        row["id"]: keys[place] if criterion.order == "random" else sign * row["score"] for place, row in enumerate(rows)
    }
    ranked = sorted(rows, key=lambda row: (key[row["id"]], row["id"]))
    choose = {"top-n": first, "k-means": _by_shares(proportional_shares), "manifold": _by_shares(shares)}.get(
        criterion.allocation.removesuffix("-per-class"), _coverage(criterion, seed)
    )
    if not criterion.per_class:
        taken = choose(ranked, n)
    else:
        sizes = torch.bincount(torch.tensor([row["label"] for row in rows]))
        taken = []
        for label, quota in enumerate(shares(n, sizes).tolist()):
            taken += choose([row for row in ranked if row["label"] == label], quota)
    wanted = {row["id"] for row in taken}
    return [row["id"] for row in ranked if row["id"] in wanted]


def first(ranked: list[Row], n: int) -> list[Row]:
    return ranked[:n]


def _by_shares(share: Callable[[int, torch.Tensor], torch.Tensor]) -> Choose:
    def choose(ranked: list[Row], n: int) -> list[Row]:
        clusters = {}
        for row in ranked:
            clusters.setdefault(row["cluster"], []).append(row)
        quotas = share(n, torch.tensor([len(rows) for rows in clusters.values()])) if clusters else []
        return [row for rows, quota in zip(clusters.values(), quotas, strict=True) for row in rows[:quota]]

    return choose


def _coverage(criterion: Criterion, seed: int) -> Choose:
    def choose(ranked: list[Row], n: int) -> list[Row]:
        if not ranked:
            return []
        sign = -1 if criterion.hard_end == "highest" else 1
        hardest_first = sorted(ranked, key=lambda row: (sign * row["score"], row["id"]))
        kept = hardest_first[left_out(criterion.option("cutoff"), len(ranked), n) :]
        scores = torch.tensor([row["score"] for row in kept], dtype=torch.float64)
        groups = stratum_of(scores, scores.min(), scores.max(), criterion.option("strata"))
        draws = uniform53(torch.tensor([row["id"] for row in kept]), seed, "coverage").tolist()
        order = np.lexsort(([row["id"] for row in kept], draws))
        taken = []
        for group, quota in enumerate(shares(n, torch.bincount(groups)).tolist()):
            taken += [kept[place] for place in order if groups[place] == group][:quota]
        return taken

    return choose
