"""How a selection is spread over classes, and over the clusters or strata that it was made from."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from limbeck.report import formats
from limbeck.report.blocks import Block, Chart, Note, Table
from limbeck.report.figures import transfer_set as figures
from limbeck.report.vega import figure
from limbeck.transfer.criteria import Criterion
from limbeck.transfer.parts import ALLOCATIONS, left_out
from limbeck.transfer.summary import Shares

Row = dict[str, Any]
_EXTREMES = 8


def class_blocks(shares: Shares, classes: Sequence[str]) -> list[Block]:
    """Images chosen of each class beside an even share; a sentence where there is nothing to see.

    Args:
        shares: of the classes.
        classes: names by number; numbers stand in for those that lack one.
    """
    rows = [{"class": formats.name_of(place, classes), **row} for place, row in _filled(shares)]
    even = sum(shares.chosen) / len(rows)
    if len(rows) == 1:
        return [Note(f"All images are of one class, {rows[0]['class']}.")]
    if all(max(row[key] for row in rows) - min(row[key] for row in rows) <= 1 for key in ("chosen", "size")):
        gave = _range([row["chosen"] for row in rows])
        share = formats.percent(even / rows[0]["size"])
        return [Note(f"Each of the {formats.number(len(rows))} classes gave {gave} images, {share} of its own.")]
    rows.sort(key=lambda row: -row["chosen"])
    caption = (
        f"Dashed: an even share, {formats.number(even, 1 if even < 10 else 0)} images of each class. To get there, "
        f"{formats.percent(apart(shares))} of the chosen images would have to be exchanged."
    )
    return _few_classes(rows, even, caption) if len(rows) <= figures.MOST_BARS else _many_classes(rows, even, caption)


def apart(shares: Shares) -> float:
    """Share of the chosen images that would have to be exchanged for every class to have an even share.

    Half the sum over K classes of |n_k / n - 1 / K|; classes without images do not count.
    """
    chosen = np.array([row["chosen"] for _, row in _filled(shares)])
    return float(np.abs(chosen / chosen.sum() - 1 / len(chosen)).sum() / 2)


def group_blocks(shares: Shares, criterion: Criterion | None) -> list[Block]:
    """Size of each cluster or stratum, and the part of it that was chosen; empty ones are left out.

    Args:
        shares: of the clusters.
        criterion: how was chosen; tells clusters from strata.
    """
    strata = criterion is not None and criterion.allocation.startswith("coverage")
    kind, one = ("strata", "stratum") if strata else ("clusters", "cluster")
    rows = [
        {"name": f"{one} {place + 1}", **row, "left": row["size"] - row["chosen"]} for place, row in _filled(shares)
    ]
    if len(rows) == 1:
        return [Note(f"All images are of one {one}.")]
    if not strata:
        rows.sort(key=lambda row: -row["size"])
    even = sum(shares.chosen) / sum(shares.sizes)
    x = figures.rank_axis(_order(criterion, shares, f"{formats.number(len(rows))} {kind}"), len(rows))
    columns = figures.group_columns(rows)
    heights = figure(figures.columns(columns, x), "groups", f"Images in {kind}, chosen and left out")
    parts = figure(figures.chosen_shares(columns, x, even=even), "group-shares", f"Share chosen of {kind}")
    return [
        Chart(heights, f"Images by {one}", _sizes(rows, one) + _together(len(rows), kind)),
        Chart(parts, f"Share chosen of each {one}", f"Dashed: {formats.percent(even)}, the share of all images."),
    ]


def _filled(shares: Shares) -> list[tuple[int, Row]]:
    """Place, size and number chosen of each class or cluster that has any images."""
    both = enumerate(zip(shares.sizes, shares.chosen, strict=True))
    return [(place, {"size": size, "chosen": chosen}) for place, (size, chosen) in both if size]


def _few_classes(rows: Sequence[Row], even: float, caption: str) -> list[Block]:
    drawn = figure(figures.class_bars(rows, even), "class-balance", "Images chosen of each class")
    return [
        Chart(drawn, "Images by class", f"{caption} Beside each bar stands the share of the class that was chosen.")
    ]


def _many_classes(rows: Sequence[Row], even: float, caption: str) -> list[Block]:
    """Too many to name them all: most chosen first, and a table of both ends."""
    x = figures.rank_axis(f"{formats.number(len(rows))} classes, most chosen first", len(rows))
    columns = figures.group_columns([{"name": row["class"], "chosen": row["chosen"], "left": 0} for row in rows])
    drawn = figure(figures.chosen_counts(columns, x, even=even), "class-balance", "Images chosen of each class")
    cells = [
        (
            row["class"],
            formats.number(row["chosen"]),
            formats.number(row["size"]),
            formats.percent(row["chosen"] / row["size"]),
        )
        for row in (*rows[:_EXTREMES], *rows[-_EXTREMES:])
    ]
    title = f"The {_EXTREMES} classes of which most, and the {_EXTREMES} of which fewest images were chosen"
    table = Table(title, ("Class", "Chosen", "Images", "Share of the class"), cells, folded=True)
    return [Chart(drawn, "Images by class", caption + _together(len(rows), "classes")), table]


def _order(criterion: Criterion | None, shares: Shares, count: str) -> str:
    """How the columns of clusters or strata are ordered."""
    if criterion is None or not criterion.allocation.startswith("coverage"):
        return f"{count}, largest first"
    within = ", class after class" if ALLOCATIONS[criterion.allocation].per_class else ""
    hardest = left_out(criterion.option("cutoff"), sum(shares.sizes), sum(shares.chosen))
    cut = ", then those cut off as too hard" if hardest else ""
    return f"{count}{within}, lowest scores first{cut}"


def _sizes(rows: Sequence[Row], one: str) -> str:
    sizes, chosen = (_range([row[key] for row in rows]) for key in ("size", "chosen"))
    none = sum(row["chosen"] == 0 for row in rows)
    words = f"Each {one} holds {sizes} images, of which {chosen} were chosen"
    return f"{words}; of {formats.number(none)} none was." if none else f"{words}."


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{formats.number(low)} to {formats.number(high)}" if low < high else formats.number(low)


def _together(count: int, kind: str) -> str:
    together = -(-count // figures.MOST_COLUMNS)
    return f" Each column is the mean of {together} {kind}." if together > 1 else ""
