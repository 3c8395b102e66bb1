"""Choosing exactly as many images from a table of scores as a budget says."""

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from limbeck.errors import UserError
from limbeck.randomness import check_seed
from limbeck.transfer.allocation import AllocationPlan, shares
from limbeck.transfer.budget import Budget, parse_budget
from limbeck.transfer.criteria import Criterion, find_criterion
from limbeck.transfer.part_entries import function_of
from limbeck.transfer.parts import ALLOCATIONS
from limbeck.transfer.score_table.read import ScoreTable
from limbeck.transfer.score_table.rows import Candidates, Rows, joined
from limbeck.transfer.selection import Selection


def allocate(
    table: ScoreTable,
    criterion: str | Mapping[str, Any] | Criterion,
    budget: str | int | float | Budget,
    *,
    seed: int = 0,
    balance: str = "label",
    features: Tensor | None = None,
    maker: str = "select",
    quotas: np.ndarray | None = None,
) -> Selection:
    """Chooses from a table of scores; features are needed only where the allocation measures distances.

    Images of several sources form one pool: the best are taken whatever their source, and neither the order of the rows
    nor that of the sources matters.

    Args:
        table: with the scores of the criterion and, where it uses clusters, a column of these.
        criterion: as for `select`.
        budget: as for `select`.
        seed: of random scores and orders.
        balance: the column whose values get equal shares where the criterion works per class: "label", or "group", such
            as the class that a teacher predicts for images without labels.
        features: `[N, D]` in the order of the table, for greedy allocations.
        maker: who chooses, for provenance.
        quotas: int64 `[G]`, how many images to take from each class or group, at most its size, in place of equal
            shares; the budget is their sum.

    Raises:
        UserError: the table lacks what the criterion needs, holds scores that are not finite or an image twice, or the
            budget cannot be met exactly.

    Example:
        >>> columns = {"id": [0, 1, 0], "source": ["cats", "cats", "dogs"], "margin:teacher-logits": [0.9, 0.2, 0.8]}
        >>> surest = {"score": "margin", "allocation": "top-n", "order": "highest"}
        >>> chosen = allocate(ScoreTable(columns), surest, 2)
        >>> chosen.ids.tolist(), chosen.sources
        ([0, 0], ['cats', 'dogs'])
    """
    criterion, budget = find_criterion(criterion), parse_budget(budget)
    check_seed(seed)
    entry = ALLOCATIONS[criterion.allocation]
    if entry.greedy and features is None:
        enough = ", ".join(repr(name) for name, other in ALLOCATIONS.items() if not other.greedy)
        raise UserError(
            f"allocation {criterion.allocation!r} needs more than a table of scores; choose from the images, or use "
            f"{enough}."
        )
    candidates = Candidates(table, criterion, seed, balance)
    if balance == "group" and (criterion.per_class or budget.kind == "per-class"):
        _check_groups(candidates)
    if quotas is None:
        n = budget.resolve(candidates, per_class=criterion.per_class)
        quotas = shares(n, candidates.class_counts()).numpy() if criterion.per_class else np.array([n])
    n = int(quotas.sum())
    if n < len(table) and not entry.greedy:
        _warn_of_one_score(table, criterion)
    if entry.greedy:
        assert features is not None, "greedy allocations without features are refused before"
        choice = _by_features(candidates, quotas, features)
    else:
        choice = _by_plan(candidates, quotas)
    groups_of = choice.groups_of
    if groups_of is None and criterion.per_class and balance == "group":
        groups_of = candidates.classes_of
    _check_distinct(choice.chosen, table)
    assert len(choice.chosen) == n
    return Selection(
        score_table=table,
        criterion=criterion,
        budget=budget,
        seed=seed,
        balance=balance,
        maker=maker,
        _chosen=choice.chosen,
        _candidates=candidates,
        _columns=choice.columns,
        _is_chosen=choice.is_chosen,
        _groups_of=groups_of,
    )


def select_from_scores(
    table: str | Path | ScoreTable,
    *,
    criterion: str | Mapping[str, Any] | Criterion,
    budget: str | int | float | Budget,
    seed: int = 0,
) -> Selection:
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
    return allocate(table, criterion, budget, seed=seed)


_WORTH_A_WORD = 5
"""Fewer images may share a score by chance."""


def _warn_of_one_score(table: ScoreTable, criterion: Criterion) -> None:
    """Warns where all images have the same score; stops reading at the first row that differs."""
    if criterion.score == "random" or not table.has(criterion.column):
        return
    first: float | None = None
    for batch in table.batches(criterion.column):
        values = batch[criterion.column]
        first = float(values[0]) if first is None and len(values) else first
        if len(values) and (values != first).any():
            return
    if first is not None and len(table) >= _WORTH_A_WORD:
        warnings.warn(
            f"criterion {criterion.name!r} gives all {len(table):,} images of {table.title} the same score, {first:g}: "
            "what it chooses is as good as drawn. Look at score, teacher and images, or choose by 'random'.",
            stacklevel=4,
        )


def _check_groups(candidates: Candidates) -> None:
    """Raises a UserError where a candidate has no group."""
    if candidates.labels is None:
        where = candidates.table.title
        lack = f"column 'group' of {where} lacks values in some rows"
        wrong = lack if candidates.table.has("group") else f"{where} has no column 'group' to balance"
        raise UserError(f"{wrong}; give one for every image, or choose from the whole set ('random', 'entropy-whole').")


def _check_distinct(chosen: Rows, table: ScoreTable) -> None:
    """Raises a UserError where an image was chosen twice.

    Rows of one image are neighbours in the ranking, so a duplicate that affects the choice is among the chosen rows.
    """
    order = chosen.ids.argsort() if chosen.sources is None else np.lexsort((chosen.sources, chosen.ids))
    ids = chosen.ids[order]
    repeated = ids[1:] == ids[:-1]
    if chosen.sources is not None:
        sources = chosen.sources[order]
        repeated &= sources[1:] == sources[:-1]
    if repeated.any():
        first = ids[1:][repeated][0]
        raise UserError(f"column 'id' of {table.title} must be distinct, got {first} more than once.")


class _Choice(NamedTuple):
    """The chosen rows, and how to tell them and their groups in another pass over the table.

    Attributes:
        chosen: the rows, most preferred first.
        columns: of the table, those that the functions read.
        is_chosen: which of some rows are chosen, bool `[B]`.
        groups_of: the groups to show, int64 `[B]`; None where they are just the classes, or there are none.
    """

    chosen: Rows
    columns: tuple[str, ...]
    is_chosen: Callable[[Rows], np.ndarray]
    groups_of: Callable[[Rows], np.ndarray] | None


def _by_plan(candidates: Candidates, quotas: np.ndarray) -> _Choice:
    """The most preferred rows of every group of the allocation's plan."""
    entry = ALLOCATIONS[candidates.criterion.allocation]
    plan: AllocationPlan = function_of(entry.function)(candidates, quotas)
    columns = tuple(dict.fromkeys((*plan.columns, *candidates.class_column)))
    thresholds = candidates.smallest(
        lambda: (plan.keys(rows) for rows in candidates.read(*columns)), plan.quotas, plan.sizes
    )

    def is_chosen(rows: Rows) -> np.ndarray:
        return thresholds.chosen(*plan.keys(rows))

    chosen = joined([rows.part(is_chosen(rows)) for rows in candidates.read(*columns)])
    ranked = chosen.part(np.lexsort(candidates.ranking_keys(chosen)[::-1]))
    return _Choice(ranked, columns, is_chosen, plan.shown)


def _by_features(candidates: Candidates, quotas: np.ndarray, features: Tensor) -> _Choice:
    """A greedy choice by features, which are in the order of the table; per class where the criterion works per class.

    The rows are in the order in which they were chosen; of several classes, most preferred first.
    """
    criterion = candidates.criterion
    entry = ALLOCATIONS[criterion.allocation]
    options = criterion.options_of(entry)
    choose = partial(function_of(entry.function), **options) if options else function_of(entry.function)
    rows = joined(list(candidates.read(*candidates.class_column)))
    assert len(rows) == len(features), "features are those of the rows"
    classes, ranking = candidates.classes_of(rows), np.lexsort(candidates.ranking_keys(rows)[::-1])
    ranked = features[torch.from_numpy(ranking)].float()
    taken = []
    for label, quota in enumerate(quotas.tolist()):
        members = torch.from_numpy(np.flatnonzero(classes[ranking] == label))
        if quota:
            taken.append(members[choose(ranked[members], quota)])
    places = torch.cat(taken).numpy()
    if criterion.per_class:
        places.sort()
    chosen = rows.part(ranking[places])
    return _Choice(chosen, candidates.class_column, chosen.hold, _places_of_classes(candidates))


def _places_of_classes(candidates: Candidates) -> Callable[[Rows], np.ndarray] | None:
    """Numbers the non-empty classes without gaps, as the groups of a greedy choice per class."""
    if not candidates.criterion.per_class:
        return None
    numbers = (candidates.class_counts().numpy() > 0).cumsum() - 1
    return lambda rows: numbers[candidates.classes_of(rows)]
