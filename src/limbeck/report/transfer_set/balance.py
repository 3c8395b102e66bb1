"""How the chosen images are spread over classes, groups and sources."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from limbeck.report import formats
from limbeck.report.blocks import Block, Chart, Note, Table
from limbeck.report.figures import transfer_set as figures
from limbeck.report.vega import figure
from limbeck.transfer.evidence import Evidence
from limbeck.transfer.summary import Shares

Row = dict[str, Any]
_EXTREMES = 8


def class_blocks(shares: Shares, classes: Sequence[str]) -> list[Block]:
    """Images chosen of each class beside an even share; a sentence where there is nothing to see.

    Args:
        shares: of the classes.
        classes: names by number; numbers stand in for those that lack one.
    """
    rows = [{"name": formats.name_of(place, classes), **row} for place, row in _filled(shares)]
    if len(rows) == 1:
        return [Note(f"All images are of one class, {rows[0]['name']}.")]
    even = sum(shares.chosen) / len(rows)
    if all(max(row[key] for row in rows) - min(row[key] for row in rows) <= 1 for key in ("chosen", "size")):
        many, gave = formats.number(len(rows)), _range([row["chosen"] for row in rows])
        gave += " image" if gave == "1" else " images"
        if _everything(rows):
            return [Note(f"Each of the {many} classes has {gave}.")]
        share = formats.percent(even / rows[0]["size"])
        return [Note(f"Each of the {many} classes gave {gave}, {share} of its own.")]
    caption = (
        f"Dashed: an even share, {formats.number(even, 1 if even < 10 else 0)} images of each class. To get there, "
        f"{formats.percent(apart(shares))} of the chosen images would have to be exchanged."
    )
    return _bars("class", rows, caption, even)


def source_blocks(shares: Shares) -> list[Block]:
    """Images chosen of each source, where there are several."""
    rows = [{"name": shares.names[place], **row} for place, row in _filled(shares)]
    return _bars("source", rows, "") if len(rows) > 1 else []


def apart(shares: Shares) -> float:
    """Share of the chosen images that would have to be exchanged for every class to have an even share.

    Half the sum over K classes of |n_k / n - 1 / K|; classes without images do not count.
    """
    chosen = np.array([row["chosen"] for _, row in _filled(shares)])
    return float(np.abs(chosen / max(chosen.sum(), 1) - 1 / len(chosen)).sum() / 2)


def group_blocks(shares: Shares, evidence: Evidence) -> list[Block]:
    """Size of each group, and the part of it that was chosen; empty ones are left out."""
    noun = evidence.group or "group"
    rows = [
        {"name": f"{noun} {place + 1}", **row, "left": row["size"] - row["chosen"]} for place, row in _filled(shares)
    ]
    if len(rows) == 1:
        return [Note(f"All images are of one {noun}.")]
    if not evidence.group_order:
        rows.sort(key=lambda row: -row["size"])
    kind = formats.plural_of(noun)
    x = figures.rank_axis(f"{formats.number(len(rows))} {kind}, {evidence.group_order or 'largest first'}", len(rows))
    columns = figures.group_columns(rows)
    heights = Chart(
        figure(figures.columns(columns, x), "groups", f"Images in {kind}"),
        f"Images by {noun}",
        _sizes(rows, noun) + _together(len(rows), kind),
    )
    if _everything(rows):
        return [heights]
    even = sum(shares.chosen) / sum(shares.sizes)
    parts = figure(figures.chosen_shares(columns, x, even=even), "group-shares", f"Share chosen of {kind}")
    caption = f"Dashed: {formats.percent(even)}, the share of all images."
    return [heights, Chart(parts, f"Share chosen of each {noun}", caption)]


def _filled(shares: Shares) -> list[tuple[int, Row]]:
    """Place, size and number chosen of each part that has any images."""
    parts = enumerate(zip(shares.sizes, shares.chosen, strict=True))
    return [(place, {"size": size, "chosen": chosen}) for place, (size, chosen) in parts if size]


def _everything(rows: Sequence[Row]) -> bool:
    """Whether nothing was left out."""
    return all(row["chosen"] == row["size"] for row in rows)


def _bars(one: str, rows: list[Row], caption: str, even: float | None = None) -> list[Block]:
    """Named parts, most chosen first; of too many to name them all columns, and a table of both ends."""
    rows.sort(key=lambda row: -row["chosen"])
    label, title = f"Images chosen of each {one}", f"Images by {one}"
    if len(rows) <= figures.MOST_BARS:
        beside = f" Beside each bar stands the share of the {one} that was chosen."
        drawn = figure(figures.part_bars(rows, one, even), f"{one}-balance", label)
        return [Chart(drawn, title, caption + ("" if _everything(rows) else beside))]
    kind = formats.plural_of(one)
    x = figures.rank_axis(f"{formats.number(len(rows))} {kind}, most chosen first", len(rows))
    columns = figures.group_columns([{"name": row["name"], "chosen": row["chosen"], "left": 0} for row in rows])
    drawn = figure(figures.chosen_counts(columns, x, even=even), f"{one}-balance", label)
    return [Chart(drawn, title, caption + _together(len(rows), kind)), _ends(one, rows)]


def _ends(one: str, rows: Sequence[Row]) -> Table:
    cells = [
        (
            row["name"],
            formats.number(row["chosen"]),
            formats.number(row["size"]),
            formats.percent(row["chosen"] / row["size"]),
        )
        for row in (*rows[:_EXTREMES], *rows[-_EXTREMES:])
    ]
    kind = formats.plural_of(one)
    title = f"The {_EXTREMES} {kind} of which most, and the {_EXTREMES} of which fewest images were chosen"
    return Table(title, (one.capitalize(), "Chosen", "Images", f"Share of the {one}"), cells, folded=True)


def _sizes(rows: Sequence[Row], one: str) -> str:
    sizes, chosen = (_range([row[key] for row in rows]) for key in ("size", "chosen"))
    if _everything(rows):
        return f"Each {one} holds {sizes} images."
    none = sum(row["chosen"] == 0 for row in rows)
    words = f"Each {one} holds {sizes} images, of which {chosen} were chosen"
    return f"{words}; of {formats.number(none)} none was." if none else f"{words}."


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{formats.number(low)} to {formats.number(high)}" if low < high else formats.number(low)


def _together(count: int, kind: str) -> str:
    together = -(-count // figures.MOST_COLUMNS)
    return f" Each column is the mean of {together} {kind}." if together > 1 else ""
