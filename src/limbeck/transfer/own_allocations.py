"""Allocations by a user-defined function from ranked scores to the rows that it takes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from limbeck.errors import UserError
from limbeck.foreign import errors_of
from limbeck.transfer.allocation import AllocationPlan, Quotas
from limbeck.transfer.parts import ALLOCATIONS
from limbeck.transfer.score_table.rows import Candidates, Rows, joined


def spread_by_scores(function: Callable[..., Any], what: str, candidates: Candidates, quotas: Quotas) -> AllocationPlan:
    """Calls `function` on the scores of every class, in order of preference; holds all of them in memory."""
    rows = joined(list(candidates.read(*candidates.class_column)))
    classes, ranking = candidates.classes_of(rows), np.lexsort(candidates.ranking_keys(rows)[::-1])
    values = candidates.criterion.options_of(ALLOCATIONS[candidates.criterion.allocation])
    taken = []
    for label, quota in enumerate(quotas.tolist()):
        members = ranking[classes[ranking] == label]
        if quota:
            scores = torch.from_numpy(rows.scores[members])
            with errors_of(what):
                places = function(scores=scores, n=quota, **values)
            chosen = check_rows(places, len(members), quota, what)
            taken.append(members[chosen.numpy()])
    images = {_image(rows, place) for place in np.concatenate(taken).tolist()}

    def groups(here: Rows) -> np.ndarray:
        is_taken = np.array([_image(here, place) in images for place in range(len(here))], dtype=bool)
        return np.where(is_taken, candidates.classes_of(here), -1)

    return AllocationPlan(
        candidates.class_column, lambda batch: (groups(batch), candidates.ranking_keys(batch)), quotas, quotas
    )


def check_rows(rows: Any, count: int, n: int, what: str) -> Tensor:
    """The rows that an allocation returned, int64 `[n]`.

    Raises:
        UserError: they are not `n` distinct integers in 0..count-1.
    """
    rows = torch.as_tensor(rows) if isinstance(rows, list | tuple | np.ndarray) else rows
    if not isinstance(rows, Tensor) or rows.is_floating_point() or rows.dtype == torch.bool or rows.shape != (n,):
        got = f"{rows.dtype} {list(rows.shape)}" if isinstance(rows, Tensor) else type(rows).__name__
        raise UserError(f"{what} must return the places of {n} images, int64 [{n}], got {got}.")
    rows = rows.detach().cpu().long()
    if len(rows.unique()) < n or int(rows.min()) < 0 or int(rows.max()) >= count:
        raise UserError(f"{what} must return {n} distinct places of 0..{count - 1}, got {rows.tolist()[:10]}.")
    return rows


def _image(rows: Rows, place: int) -> tuple[int, int]:
    return int(rows.ids[place]), -1 if rows.sources is None else int(rows.sources[place])
