"""Evidence of a selection: how many images were chosen and how, and images at both ends of the score."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch

from limbeck.transfer.criteria import Criterion
from limbeck.transfer.evidence import Evidence, Pictures
from limbeck.transfer.parts import ALLOCATIONS, SCORES
from limbeck.transfer.selection import Selection
from limbeck.transfer.words import image_count

if TYPE_CHECKING:
    from limbeck.data import ImageSet

_ENDS = 12
_COLUMNS = ("id", "score", "label")


def evidence_of(selection: Selection, images: "ImageSet") -> Evidence:
    """The evidence of a selection; for a table in a file, which already has the rows, a summary replaces them.

    Args:
        selection: from `images`.
        images: the set, or one that holds it.

    Example:
        >>> evidence_of(lb.select(images, budget="10%"), images).headline
        '20 of 200 images of digits/train (10 %), chosen by entropy: score entropy of grayscale-histogram, allocation \
top-n-per-class, highest first'
    """
    criterion = selection.criterion
    random = criterion.score == "random"
    kept = selection.score_table.path is not None
    return Evidence(
        headline=f"{_count(selection)}, chosen by {described(criterion)}",
        rows=None if kept else selection.rows,
        summary=selection.summary() if kept else None,
        pictures=pictures(selection, images),
        classes=images.classes,
        score="" if random else criterion.score,
        group=_group(criterion),
        group_order=_group_order(selection),
        notes=[_scores_note(criterion)],
        facts={"budget": selection.budget.label, "seed": str(selection.seed)},
    )


def _scores_note(criterion: Criterion) -> str:
    if criterion.score == "random":
        return (
            "The scores are random numbers, drawn from the seed and the ids, so how they are spread says nothing and "
            "is not shown."
        )
    return f"The score, {criterion.score}: {SCORES[criterion.score].summary}."


def _count(selection: Selection) -> str:
    share = f"{100 * selection.count / selection.considered:.3g} %"
    return f"{selection.count:,} of {image_count(selection.considered)} of {selection.score_table.name} ({share})"


def described(criterion: Criterion) -> str:
    """Name and parts of a criterion as text.

    Example:
        >>> described(lb.transfer.select.find_criterion("entropy"))
        'entropy: score entropy of grayscale-histogram, allocation top-n-per-class, highest first'
    """
    seen = "" if criterion.representation in ("", "none") else f" of {criterion.representation}"
    space = f" in {criterion.space}" if criterion.space else ""
    first = "in random order" if criterion.order == "random" else f"{criterion.order} first"
    name = "" if criterion.name == "custom" else f"{criterion.name}: "
    return f"{name}score {criterion.score}{seen}, allocation {criterion.allocation}{space}, {first}"


def _group(criterion: Criterion) -> str:
    if criterion.clusters_column is not None:
        return "cluster"
    return "stratum" if "strata" in ALLOCATIONS[criterion.allocation].options else ""


def _group_order(selection: Selection) -> str:
    """How strata are ordered; "" for clusters, whose numbers mean nothing."""
    if _group(selection.criterion) != "stratum":
        return ""
    within = "class after class, " if selection.criterion.per_class else ""
    cut = ", then those cut off as too hard" if selection.leaves_out_hardest else ""
    return f"{within}lowest scores first{cut}"


def pictures(selection: Selection, images: "ImageSet", per_group: int = _ENDS) -> list[Pictures]:
    """Images of highest and of lowest score, among the chosen ones and among the others, the most extreme first.

    Args:
        selection: from `images`.
        images: the set, or one that contains it.
        per_group: at most so many images of each group; empty groups are left out.

    Example:
        >>> shown = pictures(lb.select(images, criterion="variance", budget=20), images, per_group=3)
        >>> shown[0].title, shown[0].images.shape
        ('Chosen, highest variance', torch.Size([3, 1, 8, 8]))
    """
    groups = []
    batches = list(_extremes(selection, per_group))
    columns = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    for heading, among in (("Chosen", columns["chosen"]), ("Left out", ~columns["chosen"])):
        for end, sign in (("highest", -1), ("lowest", 1)):
            rows = np.flatnonzero(among)
            rows = rows[np.lexsort((columns["id"][rows], sign * columns["score"][rows]))][:per_group]
            if len(rows):
                shown = {name: torch.from_numpy(columns[name][rows]) for name in _COLUMNS if name in columns}
                groups.append(
                    Pictures(
                        title=f"{heading}, {end} {selection.criterion.score}",
                        images=images.gather(images.positions(shown["id"])).contiguous(),
                        ids=shown["id"],
                        labels=shown.get("label"),
                        scores=shown["score"].float(),
                    )
                )
    return groups


def _extremes(selection: Selection, count: int) -> Iterator[dict[str, np.ndarray]]:
    """The rows of every batch that can be among the `count` of highest or lowest score, chosen or not."""
    for batch in selection.rows():
        kept = []
        for among in (batch["chosen"], ~batch["chosen"]):
            rows = np.flatnonzero(among)
            by_score = np.lexsort((batch["id"][rows], batch["score"][rows]))
            falling = np.lexsort((batch["id"][rows], -batch["score"][rows]))
            kept.append(rows[np.union1d(by_score[:count], falling[:count])])
        rows = np.concatenate(kept)
        yield {name: batch[name][rows] for name in (*_COLUMNS, "chosen") if name in batch}
