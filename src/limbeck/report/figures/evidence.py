"""Charts that a maker's evidence brings: stacked bars, curves and maps."""

from collections.abc import Mapping, Sequence
from itertools import cycle, islice
from typing import Any

import altair as alt

from limbeck.report import formats
from limbeck.report.figures import style
from limbeck.report.figures.transfer_set import MOST_BARS, MOST_COLUMNS
from limbeck.transfer.evidence_figures import Points

Row = dict[str, Any]
MOST_PARTS = len(style.USER_COLOURS)
"""Parts that colours can tell apart; where there are more, the smallest are put together."""
_LABEL, _SHORT = 150, 72  # pixels of the longest name, and of one that shares a narrow screen with two others
_DASHES = ((1, 0), (6, 3), (2, 3))
_MARGIN = 58
_SHAPES = ("circle", "triangle-up", "square", "diamond", "cross")
MOST_NAMED = 20
"""Classes of a map that a legend has room for."""


def stacked_bars(
    names: Sequence[str], parts: Mapping[str, Sequence[float]], one: str, part: str, *, most: float | None = None
) -> alt.Chart:
    """Named bars one below the other; if they are too many to be named, columns from left to right.

    Args:
        names: of the bars, in the order given.
        parts: counts of each part; at most `MOST_PARTS`.
        one: what a bar is.
        part: what a part is.
        most: where the axis of counts ends, so that several charts share it; None for the highest of this one.
    """
    named = len(names) <= MOST_BARS
    rows = _stacked(names, parts) if named else _stacked_columns(names, parts)
    scale = alt.Scale(domain=list(parts), range=list(islice(cycle(style.USER_COLOURS), len(parts))))
    legend = alt.Legend(orient="top", symbolType="square", labelLimit=_LABEL, columns=2, symbolSize=120)
    colour = alt.Color("part:N", title=None, scale=scale, legend=legend if len(parts) > 1 else None)
    count = alt.Tooltip("count:Q", title="images", format=",.4~g")
    tooltip = [alt.Tooltip("name:N", title=one), alt.Tooltip("part:N", title=part), count]
    base = alt.Chart(style.values(rows)).encode(color=colour, tooltip=tooltip)
    counts = alt.Undefined if most is None else alt.Scale(domain=[0, most])
    if named:
        return _named_bars(base, names, counts)
    return _bare_columns(base, len(names), f"{formats.number(len(names))} {formats.plural_of(one)}", counts)


def _named_bars(base: alt.Chart, names: Sequence[str], counts: Any) -> alt.Chart:
    """Rows of `_stacked` as bars one below the other; `counts` is the scale of counts."""
    axis = alt.Axis(grid=False, ticks=False, domain=False, labelLimit=_LABEL)
    bars = base.mark_bar(height=12, aria=False).encode(
        y=alt.Y("name:N", sort=list(names), title=None, axis=axis),
        x=alt.X("from:Q", title=None, scale=counts, axis=alt.Axis(tickCount=6, format=",~f")),
        x2=alt.X2("to"),
    )
    return bars.properties(height=22 * len(names))


def _bare_columns(base: alt.Chart, count: int, title: str, counts: Any) -> alt.Chart:
    """Rows of `_stacked_columns`, of `count` bars, as columns from left to right; `counts` is the scale of counts."""
    bare = alt.Axis(grid=False, ticks=False, labels=False)
    places = alt.Scale(domain=[0, count], nice=False)
    columns = base.mark_bar(binSpacing=0.5, aria=False).encode(
        x=alt.X("low:Q", bin="binned", title=title, axis=bare, scale=places),
        x2=alt.X2("high"),
        y=alt.Y("from:Q", title=None, scale=counts, axis=alt.Axis(tickCount=4, format=",~f", minExtent=_MARGIN)),
        y2=alt.Y2("to"),
    )
    return columns.properties(height=180)


def _stacked(names: Sequence[str], parts: Mapping[str, Sequence[float]]) -> list[Row]:
    rows, ends = [], [0.0] * len(names)
    for part, counts in parts.items():
        for place, count in enumerate(counts):
            if count:
                row = {"place": place, "name": names[place], "part": part, "count": count}
                rows.append({**row, "from": ends[place], "to": ends[place] + count})
                ends[place] += count
    return rows


def _stacked_columns(names: Sequence[str], parts: Mapping[str, Sequence[float]]) -> list[Row]:
    """As `_stacked`, for means of neighbouring bars, so that there are no more columns than a screen has room for."""
    together = -(-len(names) // MOST_COLUMNS)
    starts = range(0, len(names), together)
    words = [_ends(names[start : start + together]) for start in starts]
    means = {part: [_mean(counts[start : start + together]) for start in starts] for part, counts in parts.items()}
    rows = _stacked(words, means)
    lows = [row["place"] * together for row in rows]
    return [{**row, "low": low, "high": min(low + together, len(names))} for row, low in zip(rows, lows, strict=True)]


def _ends(names: Sequence[str]) -> str:
    return " to ".join(dict.fromkeys((names[0], names[-1])))


def _mean(counts: Sequence[float]) -> float:
    return sum(counts) / len(counts)


def line_chart(
    lines: Mapping[str, Points],
    marks: Mapping[str, tuple[float, float]],
    *,
    titles: tuple[str, str],
    mark: str,
    logarithmic: bool,
    share: bool = False,
    height: int = 240,
    arms: Mapping[str, style.Arm] | None = None,
) -> alt.LayerChart:
    """Curves with a legend if there are several, and a dot on each curve that has a mark.

    Args:
        lines: name -> points.
        marks: name -> where its dot is.
        titles: of both axes.
        mark: what dots stand for.
        logarithmic: whether the x axis is.
        share: whether y are shown as percent.
        height: in pixels.
        arms: how each line is drawn, where the page has a legend of them.
    """
    names = list(lines)
    colours = list(islice(cycle(style.USER_COLOURS), len(names)))
    dashes = [list(_DASHES[place // MOST_PARTS % len(_DASHES)]) for place in range(len(names))]
    if arms is not None:
        colours, dashes = [arms[name].colour for name in names], [list(arms[name].dash) for name in names]
    legend = alt.Legend(orient="top", title=None, symbolType="stroke", symbolSize=300, columns=3, labelLimit=_SHORT)
    shown = legend if len(names) > 1 and arms is None else None
    colour = alt.Color("line:N", scale=alt.Scale(domain=names, range=colours), legend=shown)
    dash = alt.StrokeDash("line:N", scale=alt.Scale(domain=names, range=dashes), legend=shown)
    x_scale = alt.Scale(type="log", nice=False) if logarithmic else alt.Scale(nice=False)
    whole = all(float(x).is_integer() for points in lines.values() for x in points[0])
    x_axis = alt.Axis(grid=False, format=",~f", labelOverlap=True, tickMinStep=1 if whole else 0)
    x = alt.X("x:Q", title=titles[0], scale=x_scale, axis=x_axis)
    # An axis would give "~g" as few digits as its steps need, and write 40 as 4e+1.
    y_axis = alt.Axis(tickCount=5, labelExpr=f"format(datum.value, '{'~%' if share else ',~r'}')")
    y = alt.Y("y:Q", title=titles[1] or None, scale=alt.Scale(zero=False), axis=y_axis)
    number = [
        alt.Tooltip("x:Q", title=titles[0], format=",.4~g"),
        alt.Tooltip("y:Q", title=titles[1] or " ", format=".1%" if share else ".4~g"),
    ]
    rows = [{"line": name, "x": a, "y": b} for name, points in lines.items() for a, b in zip(*points, strict=True)]
    alone = all(len(points[0]) == 1 for points in lines.values())  # lines of one point would not be seen
    drawn = alt.OverlayMarkDef(filled=True, size=60) if alone else False
    curves = (
        alt.Chart(style.values(rows))
        .mark_line(strokeWidth=1.75, aria=False, point=drawn)
        .encode(x=x, y=y, color=colour, strokeDash=dash, tooltip=[alt.Tooltip("line:N", title=" "), *number])
    )
    dots = [{"line": name, "x": at[0], "y": at[1]} for name, at in marks.items() if name in lines]
    if not dots:
        return alt.LayerChart(layer=[curves], height=height)
    marked = (
        alt.Chart(style.values(dots))
        .mark_point(filled=True, size=60, opacity=1, aria=False)
        .encode(x=x, y=y, color=colour, tooltip=[alt.Tooltip("line:N", title=mark or " "), *number])
    )
    return alt.LayerChart(layer=[curves, marked], height=height)


def point_map(
    points: Points, labels: Sequence[int], names: Sequence[str], parts: Mapping[str, int], *, height: int = 460
) -> alt.Chart:
    """Images as points in colours of their classes; if these fit a legend, a click there fades the others.

    Args:
        points: x and y.
        labels: places in `names`; -1 for none, in grey.
        names: of the classes.
        parts: name -> how many images of `points`, in order, it has; each has its own shape.
        height: in pixels.
    """
    kinds = [part for part, count in parts.items() for _ in range(count)]
    rows = [
        {"x": x, "y": y, "class": names[label] if label >= 0 else "none", "place": label, "part": part}
        for x, y, label, part in zip(*points, labels, kinds, strict=True)
    ]
    bare = {"axis": None, "scale": alt.Scale(zero=False, nice=False, padding=8)}
    shapes = alt.Scale(domain=list(parts), range=list(islice(cycle(_SHAPES), len(parts))))
    legend = alt.Legend(orient="bottom", title=None, labelLimit=_LABEL, symbolSize=70)
    shape = alt.Shape("part:N", scale=shapes, legend=legend if len(parts) > 1 else None)
    chart = alt.Chart(style.values(rows)).mark_point(size=26, strokeWidth=1.3, aria=False)
    tooltip = [alt.Tooltip("class:N"), *([alt.Tooltip("part:N", title=" ")] if len(parts) > 1 else [])]
    chart = chart.encode(x=alt.X("x:Q", **bare), y=alt.Y("y:Q", **bare), shape=shape, tooltip=tooltip)
    if len(names) > MOST_NAMED:
        scale = alt.Scale(domain=[0, len(names)], scheme="sinebow")
        return chart.encode(color=alt.Color("place:Q", scale=scale, legend=None)).properties(height=height)
    pick = alt.selection_point("kind", fields=["class"], bind="legend")
    scale = alt.Scale(domain=list(names), scheme="tableau10" if len(names) <= 10 else "tableau20")
    legend = alt.Legend(orient="top", title=None, columns=5 if height < 400 else 10, symbolOpacity=1, labelLimit=_SHORT)
    faded = alt.condition(pick, alt.value(0.85), alt.value(0.06))
    coloured = chart.encode(color=alt.Color("class:N", scale=scale, legend=legend), opacity=faded)
    return coloured.add_params(pick).properties(height=height)
