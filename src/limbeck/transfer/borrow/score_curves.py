"""Scores by rank: how much surer the teacher is of the first images than of those at the cut of the budget."""

from typing import TYPE_CHECKING

import numpy as np

from limbeck.transfer.borrow.considered import Array, marked
from limbeck.transfer.borrow.criteria import criterion_by
from limbeck.transfer.evidence_figures import LineFigure, Points
from limbeck.transfer.score_table.read import ScoreTable

if TYPE_CHECKING:
    from limbeck.transfer.borrow.chosen import Chosen

MOST_LINES = 10
_POINTS = 64


def score_curves(table: ScoreTable, chosen: "Chosen") -> list[LineFigure]:
    """A figure for each criterion that goes by a score.

    Args:
        table: of the pools.
        chosen: from the table.
    """
    figures = []
    for place, part in enumerate(chosen.parts):
        criterion = criterion_by(part.by)
        if criterion.score != "random" and table.has(criterion.column):
            among = chosen.rows.parts == place if len(chosen.parts) > 1 else None
            figures.append(_curves(table, chosen, part.by, among))
    return figures


def _curves(table: ScoreTable, chosen: "Chosen", by: str, own: Array | None) -> LineFigure:
    """The curves of one criterion; takes some 12 bytes of memory per row of the table."""
    criterion = criterion_by(by)
    sign = -1.0 if criterion.order == "highest" else 1.0
    batches = [
        (batch["group"].astype(np.int32), sign * batch[criterion.column], batch["chosen"])
        for batch in marked(table, chosen, "group", criterion.column, among=own)
    ]
    groups, scores, taken = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    scored = np.isfinite(scores)
    groups, scores, taken = groups[scored], scores[scored], taken[scored]
    lines: dict[str, Points] = {}
    cuts: dict[str, tuple[float, float]] = {}
    for place in _shown(groups, scores, taken, len(chosen.classes)):
        in_class = groups == place if place >= 0 else np.ones(len(groups), dtype=bool)
        name = chosen.classes[place] if place >= 0 else "all classes"
        ranked = np.sort(scores[in_class])
        ranks = _ranks(len(ranked))
        lines[name] = ([int(rank) for rank in ranks], [float(sign * ranked[rank - 1]) for rank in ranks])
        last = scores[in_class & taken]
        if len(last):
            cuts[name] = (int(np.searchsorted(ranked, last.max(), "right")), float(sign * last.max()))
    return LineFigure(
        title=f"Scores of the images by their rank, by {by}",
        x="rank of the image",
        y=f"{by}, {criterion.order} first",
        lines=lines,
        marks=cuts,
        mark="where the budget cut, the least preferred image that was taken",
        logarithmic=True,
        note=_note(len(chosen.classes), len(lines)),
    )


def _shown(groups: Array, scores: Array, taken: Array, classes: int) -> list[int]:
    """Classes with images; if too many, -1 for all together and an evenly spaced subset ordered by their cuts."""
    filled = [int(place) for place in np.flatnonzero(np.bincount(groups, minlength=classes))]
    if len(filled) <= MOST_LINES:
        return filled
    cuts = np.full(classes, -np.inf)
    np.maximum.at(cuts, groups[taken], scores[taken])
    ordered = sorted(filled, key=lambda place: (cuts[place], place))
    spread = np.linspace(0, len(ordered) - 1, MOST_LINES - 1).round().astype(int)
    return [-1, *(ordered[place] for place in spread)]


def _ranks(count: int) -> Array:
    """Ranks from 1 to `count`, evenly spread over their logarithms."""
    return np.unique(np.geomspace(1, max(count, 1), _POINTS).round().astype(np.int64))


def _note(classes: int, lines: int) -> str:
    note = "Within each class that the teacher gives, over all pools."
    if classes > MOST_LINES:
        note += f" Of {classes:,} classes {lines - 1} are drawn, from those with the surest cut to the least sure."
    return note
