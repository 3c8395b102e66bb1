"""Tables and charts that a maker's evidence brings."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from limbeck.report import formats
from limbeck.report.blocks import Block, Chart, Grid, Image, Note, Table
from limbeck.report.figures import classes as class_figures
from limbeck.report.figures import evidence as figures
from limbeck.report.vega import FULL_WIDTH, figure
from limbeck.transfer.evidence_figures import (
    EvidenceFigure,
    LineFigure,
    MatrixFigure,
    PointsFigure,
    StackedBars,
    TableFigure,
    Value,
)

MOST_ROWS = 30  # above this a table is folded
_ROWS_SHOWN = 1000
SMALL, SMALL_HEIGHT = 450, 170  # pixels of a chart that has one beside it


def figure_blocks(
    found: Sequence[EvidenceFigure], key: str = "own", *, folded: bool = False, noted: bool = True
) -> list[Block]:
    """Every table and chart in order, with its note; small charts that follow one another stand side by side.

    Args:
        found: of one transfer set.
        key: begins the keys of the charts, which are unique on a page.
        folded: whether also short tables are.
        noted: whether tables have their notes, which say the same of every arm of a comparison.
    """
    blocks: list[Block] = []
    for small, group in groupby(enumerate(found), lambda item: isinstance(item[1], LineFigure) and item[1].small):
        drawn = [
            block
            for place, evidence_figure in group
            for block in _blocks(evidence_figure, f"{key}-{place}", folded, noted)
        ]
        charts = [block for block in drawn if isinstance(block, Chart)]
        blocks += [Grid(charts)] if small and len(charts) > 1 else drawn
    return blocks


def _blocks(one: EvidenceFigure, key: str, folded: bool, noted: bool) -> list[Block]:
    if isinstance(one, TableFigure):
        return _table(one if noted else replace(one, note=""), folded or len(one.rows) > MOST_ROWS)
    if isinstance(one, StackedBars):
        return _bars(one, key)
    if isinstance(one, MatrixFigure):
        return _matrix(one, key)
    return _points(one, key) if isinstance(one, PointsFigure) else _lines(one, key)


def weight(blocks: Sequence[Block]) -> int:
    """Bytes of charts, roughly."""
    charts = [block.figure for block in blocks if isinstance(block, Chart)]
    charts += [chart.figure for block in blocks if isinstance(block, Grid) for chart in block.charts]
    return sum(len(chart.svg) + len(chart.spec) for chart in charts)


def _table(found: TableFigure, folded: bool) -> list[Block]:
    if not found.rows:
        return [Note(found.note)] if found.note else []
    shares = [column in found.percent for column in found.columns]
    rows = [
        [_cell(value, share=share) for value, share in zip(row, shares, strict=True)]
        for row in found.rows[:_ROWS_SHOWN]
    ]
    numeric = [place for place in range(len(found.columns)) if all(_is_number(row[place]) for row in found.rows)]
    left = len(found.rows) - len(rows)
    title = f"{found.title} (the first {formats.number(len(rows))} of {formats.number(left + len(rows))})"
    table = Table(title if left else found.title, found.columns, rows, numeric=numeric, folded=folded)
    return [table, *([Note(found.note)] if found.note else [])]


def _is_number(value: Value) -> bool:
    return value is None or not isinstance(value, str)


def _cell(value: Value, *, share: bool) -> str:
    if value is None:
        return formats.ABSENT
    if isinstance(value, str):
        return value
    if share:
        return formats.percent(value)
    return formats.number(value) if isinstance(value, int) else formats.short(value)


def _bars(found: StackedBars, key: str) -> list[Block]:
    if not found.names or not found.parts:
        return [Note(found.note)] if found.note else []
    chart = figures.stacked_bars(found.names, _fewer(found.parts, found.part), found.one, found.part)
    caption = found.note
    if len(found.names) > figures.MOST_COLUMNS:
        together = -(-len(found.names) // figures.MOST_COLUMNS)
        caption += f" Each column is the mean of {together} {formats.plural_of(found.one)}."
    return [Chart(figure(chart, key, found.title), found.title, caption.strip())]


def _fewer(parts: Mapping[str, Sequence[float]], part: str) -> Mapping[str, Sequence[float]]:
    """The smallest parts together, where there are more than colours can tell apart."""
    if len(parts) <= figures.MOST_PARTS:
        return parts
    largest = sorted(parts, key=lambda name: -sum(parts[name]))[: figures.MOST_PARTS - 1]
    rest = [counts for name, counts in parts.items() if name not in largest]
    together = f"{len(rest)} other {formats.plural_of(part)}"
    kept = {name: counts for name, counts in parts.items() if name in largest}
    return kept | {together: [sum(counts) for counts in zip(*rest, strict=True)]}


def _lines(found: LineFigure, key: str) -> list[Block]:
    lines = {name: points for name, points in found.lines.items() if points[0]}
    if not lines:
        return [Note(found.note)] if found.note else []
    chart = figures.line_chart(
        lines,
        found.marks,
        titles=(found.x, found.y),
        mark=found.mark,
        logarithmic=found.logarithmic,
        share=found.share,
        height=SMALL_HEIGHT if found.small else 240,
    )
    dots = f"Dots: {found.mark}. " if found.mark and found.marks else ""
    drawn = figure(chart, key, found.title, width=SMALL if found.small else FULL_WIDTH)
    return [Chart(drawn, found.title, f"{dots}{found.note}".strip())]


def _matrix(found: MatrixFigure, key: str) -> list[Block]:
    if not any(map(any, found.counts)):
        return [Note(found.note)] if found.note else []
    counts, names = [list(row) for row in found.counts], list(found.names)
    caption = f"Each row is a class that was {found.row}, and sums to 100 %. {found.note}".strip()
    if len(names) > class_figures.MOST_CELLS:
        return [Image(class_figures.confusion_picture(counts), found.title, f"{found.title}. {caption}")]
    chart = class_figures.confusion_map(counts, names, (found.row, found.column))
    return [Chart(figure(chart, key, found.title, fluid=False), found.title, caption)]


def _points(found: PointsFigure, key: str) -> list[Block]:
    if not found.labels:
        return [Note(found.note)] if found.note else []
    chart = figures.point_map(found.points, found.labels, found.names, found.parts)
    return [Chart(figure(chart, key, found.title), found.title, found.note)]
