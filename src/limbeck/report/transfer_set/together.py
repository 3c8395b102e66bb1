"""Figures that the makers of several arms bring, those of one title beside one another."""

from collections.abc import Mapping, Sequence
from typing import Any

from limbeck.report import formats
from limbeck.report.blocks import Block, Chart, Grid, Legend, Note
from limbeck.report.figures import evidence as figures
from limbeck.report.figures.style import Arm
from limbeck.report.transfer_set.own_figures import SMALL, SMALL_HEIGHT
from limbeck.report.vega import figure
from limbeck.transfer.evidence_figures import EvidenceFigure, LineFigure, PointsFigure, StackedBars

MOST_ARMS = 12  # of bars and maps
_POINTS = 1600  # of all maps of one title
_WIDTH, _HEIGHT = 290, 270  # pixels of one of three charts in a row
Named = Mapping[str, Sequence[EvidenceFigure]]
"""Figures of each arm, by its name and in its order."""


def together_blocks(found: Named, styles: Mapping[str, Arm], key: str = "together") -> list[Block]:
    """Curves of all arms in one chart, then bars and maps arm by arm, for every title that two arms or more have.

    Args:
        found: figures of the arms.
        styles: how each is drawn.
        key: begins the keys of the charts, which are unique on a page.
    """
    titles: dict[str, dict[str, EvidenceFigure]] = {}
    for arm, own in found.items():
        for item in own:
            if item.beside == "together":
                titles.setdefault(item.title, {})[arm] = item
    shared = [(f"{key}-{place}", of_arms) for place, of_arms in enumerate(titles.values()) if len(of_arms) > 1]
    lines = [chart for name, of_arms in shared for chart in _lines(_only(of_arms, LineFigure), styles, name)]
    blocks: list[Block] = []
    if lines:
        drawn = [styles[arm] for arm in found if any(arm in of_arms for _, of_arms in shared)]
        blocks += [Legend(drawn), Grid(lines)]
    for name, of_arms in shared:
        blocks += _bars(_only(of_arms, StackedBars), styles, name)
        blocks += _maps(_only(of_arms, PointsFigure), styles, name)
    return blocks


def _only(of_arms: Mapping[str, EvidenceFigure], kind: type[Any]) -> dict[str, Any]:
    return {arm: item for arm, item in of_arms.items() if isinstance(item, kind)}


def _lines(of_arms: Mapping[str, LineFigure], styles: Mapping[str, Arm], key: str) -> list[Chart]:
    """The first curve of every arm."""
    lines = {arm: next(iter(curve.lines.values())) for arm, curve in of_arms.items() if curve.lines}
    lines = {arm: points for arm, points in lines.items() if points[0]}
    if not lines:
        return []
    first = next(iter(of_arms.values()))
    named = {styles[arm].label: points for arm, points in lines.items()}
    chart = figures.line_chart(
        named,
        {},
        titles=(first.x, first.y),
        mark="",
        logarithmic=first.logarithmic,
        share=first.share,
        height=SMALL_HEIGHT,
        arms={styles[arm].label: styles[arm] for arm in lines},
    )
    return [Chart(figure(chart, key, f"{first.title}, by arm", width=SMALL), first.title, first.note)]


def _bars(of_arms: Mapping[str, StackedBars], styles: Mapping[str, Arm], key: str) -> list[Block]:
    shown = {arm: bars for arm, bars in of_arms.items() if bars.names and bars.parts}
    if not shown:
        return []
    first = next(iter(shown.values()))
    drawn = dict(list(shown.items())[:MOST_ARMS])
    highest = max(max(map(sum, zip(*bars.parts.values(), strict=True)), default=0) for bars in drawn.values())
    charts = []
    for place, (arm, bars) in enumerate(drawn.items()):
        parts = dict(list(bars.parts.items())[: figures.MOST_PARTS])
        chart = figures.stacked_bars(bars.names, parts, bars.one, bars.part, most=highest)
        label = f"{bars.title} of {styles[arm].label}"
        charts.append(Chart(figure(chart, f"{key}-{place}", label, width=_WIDTH), styles[arm].label))
    return _grid(first.title, first.note, charts, len(shown) - len(drawn))


def _maps(of_arms: Mapping[str, PointsFigure], styles: Mapping[str, Arm], key: str) -> list[Block]:
    shown = {arm: points for arm, points in of_arms.items() if points.labels}
    if not shown:
        return []
    first = next(iter(shown.values()))
    drawn = dict(list(shown.items())[:MOST_ARMS])
    charts = []
    for place, (arm, points) in enumerate(drawn.items()):
        fewer = _thinned(points, _POINTS // len(drawn))
        chart = figures.point_map(fewer.points, fewer.labels, fewer.names, fewer.parts, height=_HEIGHT)
        label = f"{points.title}, {styles[arm].label}"
        charts.append(Chart(figure(chart, f"{key}-{place}", label, width=_WIDTH), styles[arm].label))
    return _grid(first.title, first.note, charts, len(shown) - len(drawn))


def _grid(title: str, note: str, charts: Sequence[Chart], left: int) -> list[Block]:
    more = f" {formats.plural(left, 'more arm')} would have made this page too heavy." if left else ""
    return [Note(f"{title}, arm by arm. {note}{more}".strip()), Grid(charts, columns=3)]


def _thinned(found: PointsFigure, most: int) -> PointsFigure:
    """Every part thinned evenly, to at most about `most` images; their order says nothing about their positions."""
    if len(found.labels) <= most:
        return found
    every = len(found.labels) / most
    kept, start, parts = [], 0, {}
    for name, count in found.parts.items():
        places = [start + int(place * every) for place in range(int(count / every))]
        kept += places
        parts[name] = len(places)
        start += count
    x, y = ([axis[place] for place in kept] for axis in found.points)
    return PointsFigure(
        title=found.title,
        points=(x, y),
        labels=[found.labels[place] for place in kept],
        names=found.names,
        parts=parts,
        note=found.note,
        beside=found.beside,
    )
