"""A transfer set in charts: what part of every score, class or group was chosen, and what several have in common."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from limbeck.report import formats
from limbeck.report.figures import style

Row = dict[str, Any]
X = alt.X
MOST_BARS = 30  # classes; above this there is no room for names
MOST_COLUMNS = 128  # above this neighbours share one
CHOSEN, LEFT_OUT = style.USER_COLOURS[0], f"{style.RULE}73"
_MORE, _LESS = "#2f81f7", "#e8710a"
_LABEL = 150  # pixels of the longest name
_MARGIN = 58  # pixels beside a chart for its y axis, the same above one another


def columns(
    rows: Sequence[Row], x: alt.X, *, rules: Sequence[tuple[float, str]] = (), height: int = 200
) -> alt.LayerChart:
    """Images from left to right, the chosen ones as the foot of each column.

    Args:
        rows: {"low", "high", "chosen", "left": images, "words": what the column stands for}.
        x: of the field "low".
        rules: places on the x axis with the words for each.
    """
    whole = not any(row["left"] for row in rows)
    parts = [
        {**row, "part": part, "share": formats.percent(_share(row)), "from": low, "to": high}
        for row in rows
        for part, low, high in (
            ("chosen", 0, row["chosen"]),
            ("left out", row["chosen"], row["chosen"] + row["left"]),
        )
        if high > low
    ]
    scale = alt.Scale(domain=["chosen", "left out"], range=[CHOSEN, LEFT_OUT])
    axis = alt.Axis(tickCount=5, format=",~f", minExtent=_MARGIN, maxExtent=_MARGIN)
    drawn = (
        alt.Chart(style.values(parts))
        .mark_bar(binSpacing=0.5, aria=False)
        .encode(
            x=x,
            x2=alt.X2("high"),
            y=alt.Y("from:Q", title=None, axis=axis),
            y2=alt.Y2("to"),
            color=alt.Color("part:N", title=None, scale=scale, legend=None if whole else _legend("square")),
            tooltip=_tooltip(),
        )
    )
    return alt.LayerChart(layer=[drawn, *_rules(rules)], height=height)


def chosen_shares(rows: Sequence[Row], x: alt.X, *, even: float) -> alt.LayerChart:
    """The share chosen of each column of `columns`, with a rule at the share `even` of all images."""
    shares = [{**row, "share": formats.percent(_share(row)), "value": _share(row)} for row in rows if _size(row)]
    return _beside_even(shares, x, even, "~%", _tooltip(), height=110)


def chosen_counts(rows: Sequence[Row], x: alt.X, *, even: float | None) -> alt.LayerChart:
    """The images chosen of each column, with a rule at the number `even` where there is one."""
    tooltip = [alt.Tooltip("words:N", title=" "), alt.Tooltip("chosen:Q", format=",.4~g")]
    return _beside_even([{**row, "value": row["chosen"]} for row in rows], x, even, ",~f", tooltip, height=180)


def _beside_even(
    rows: Sequence[Row], x: alt.X, even: float | None, number: str, tooltip: list[alt.Tooltip], height: int
) -> alt.LayerChart:
    y = alt.Y("value:Q", title=None, axis=alt.Axis(tickCount=4, format=number, minExtent=_MARGIN, maxExtent=_MARGIN))
    bars = alt.Chart(style.values(rows)).mark_bar(binSpacing=0.5, color=CHOSEN, aria=False)
    rules = [] if even is None else [_even(y=even)]
    return alt.LayerChart(layer=[bars.encode(x=x, x2=alt.X2("high"), y=y, tooltip=tooltip), *rules], height=height)


def _even(**place: float) -> alt.Chart:
    """A dashed rule across the chart at x or y."""
    rule = alt.Chart(style.values([place])).mark_rule(strokeDash=[6, 3], color=style.PAGE_INK, opacity=0.7, aria=False)
    return rule.encode(**{axis: f"{axis}:Q" for axis in place})


def score_axis(title: str, low: float, high: float, *, logarithmic: bool = False) -> alt.X:
    """The x axis of bins of scores, or of their decimal logarithms, on which two charts stand above one another."""
    written = "format(pow(10, datum.value), '~g')" if logarithmic else "format(datum.value, '~g')"
    least = 1 if logarithmic else 0
    axis = alt.Axis(grid=False, tickCount=10, tickMinStep=least, labelExpr=written, labelOverlap=True)
    return alt.X("low:Q", bin="binned", title=title, axis=axis, scale=alt.Scale(domain=[low, high], nice=False))


def rank_axis(title: str, count: int) -> alt.X:
    """The x axis of groups in an order, which have no names there."""
    axis = alt.Axis(grid=False, ticks=False, labels=False)
    return alt.X("low:Q", bin="binned", title=title, axis=axis, scale=alt.Scale(domain=[0, count], nice=False))


def group_columns(rows: Sequence[Row]) -> list[Row]:
    """Rows for `columns` out of {"name", "chosen", "left"} in order; of very many, means of neighbours."""
    together = -(-len(rows) // MOST_COLUMNS)
    grouped = []
    for start in range(0, len(rows), together):
        neighbours = rows[start : start + together]
        means = {key: sum(row[key] for row in neighbours) / len(neighbours) for key in ("chosen", "left")}
        names = [neighbours[0]["name"], neighbours[-1]["name"]][: len(neighbours)]
        grouped.append({"low": start, "high": start + len(neighbours), **means, "words": " to ".join(names)})
    return grouped


def part_bars(rows: Sequence[Row], one: str, even: float | None) -> alt.LayerChart:
    """Images chosen of each named part, in the order given, with a rule at an even share where there is one.

    Args:
        rows: {"name", "chosen", "size"}.
        one: what a part is, as "class".
        even: images that an even share would be.
    """
    whole = all(row["chosen"] == row["size"] for row in rows)
    rows = [{**row, "share": formats.percent(row["chosen"] / row["size"]) if row["size"] else ""} for row in rows]
    rows = [{**row, "beside": formats.number(row["size"]) if whole else row["share"]} for row in rows]
    axis = alt.Axis(grid=False, ticks=False, domain=False, labelLimit=_LABEL)
    most = max([even or 0, *(row["chosen"] for row in rows)]) or 1
    scale = alt.Scale(domain=[0, most * 1.1], nice=False)
    counts = [alt.Tooltip(f"{key}:Q", format=",d") for key in ("chosen", "size")]
    base = alt.Chart(style.values(rows)).encode(
        y=alt.Y("name:N", sort=[row["name"] for row in rows], title=None, axis=axis),
        x=alt.X(
            "chosen:Q",
            title="images" if whole else "images chosen",
            scale=scale,
            axis=alt.Axis(tickCount=6, format=",~f"),
        ),
        tooltip=[alt.Tooltip("name:N", title=one), *counts, alt.Tooltip("share:N", title=f"share of the {one}")],
    )
    bars = base.mark_bar(height=12, color=CHOSEN)
    words = base.mark_text(align="left", dx=6, fontSize=11, color=style.PAGE_INK, opacity=0.8).encode(
        text=alt.Text("beside:N")
    )
    rules = [] if even is None else [_even(x=even)]
    return alt.LayerChart(layer=[bars, *rules, words], height=24 * len(rows))


def overlap_map(rows: Sequence[Row], arms: Sequence[str]) -> alt.LayerChart:
    """The lower half of the table of arms against arms: blue where two share more than chance gives, orange less.

    Args:
        rows: {"arm", "other", "share", "both": images, "chance": the share that two independent draws of these sizes
            have in common}, each pair once, the later arm first.
        arms: names as shown, in order.
    """
    cells = [
        {**row, "percent": formats.percent(row["share"]), "words": formats.number(row["share"] * 100)}
        | {"more": row["share"] >= row["chance"], "shade": round(_shade(row["share"], row["chance"]), 3)}
        for row in rows
    ]
    side = max(26, min(46, 620 // len(arms)))
    base = alt.Chart(style.values(cells)).encode(
        x=alt.X("other:N", sort=list(arms[:-1]), axis=_names(arms[:-1])),
        y=alt.Y("arm:N", sort=list(arms[1:]), axis=_names(arms[1:])),
    )
    tooltip = [alt.Tooltip("arm:N"), alt.Tooltip("other:N", title="and")]
    tooltip += [alt.Tooltip("both:Q", title="both chose", format=",d"), alt.Tooltip("percent:N", title="share")]
    rects = base.mark_rect(cornerRadius=2 if len(arms) <= MOST_BARS // 2 else 0, aria=False).encode(
        fill=alt.condition("datum.more", alt.value(_MORE), alt.value(_LESS)),
        fillOpacity=alt.FillOpacity("shade:Q", scale=alt.Scale(domain=[0, 1], range=[0.03, 0.95]), legend=None),
        tooltip=tooltip,
    )
    ink = alt.condition("datum.shade > 0.55", alt.value("white"), alt.value(style.PAGE_INK))
    words = base.mark_text(fontSize=11, aria=False).encode(text=alt.Text("words:N"), color=ink)
    return alt.LayerChart(layer=[rects, words], width=alt.Step(side), height=alt.Step(side))


def _names(arms: Sequence[str]) -> alt.Axis:
    # A page's letters are wider than those that the still picture is laid out with.
    room = min(_LABEL, 7.5 * max(map(len, arms)))
    return alt.Axis(grid=False, ticks=False, domain=False, labelLimit=_LABEL, minExtent=room, title=None)


def _shade(share: float, chance: float) -> float:
    """How far from chance, 1 for equal sets and for disjoint ones."""
    room = 1 - chance if share >= chance else chance
    return min(abs(share - chance) / room, 1.0) if room else 0.0


def _rules(rules: Sequence[tuple[float, str]]) -> list[alt.Chart]:
    if not rules:
        return []
    dashes = alt.Scale(domain=[words for _, words in rules], range=[[1, 0], [6, 3], [2, 3]][: len(rules)])
    lines = alt.Chart(style.values({"at": at, "words": words} for at, words in rules)).mark_rule(
        color=style.PAGE_INK, opacity=0.8, strokeWidth=1.5
    )
    key = alt.StrokeDash("words:N", title=None, scale=dashes, legend=_legend("stroke"))
    return [lines.encode(x=alt.X("at:Q"), strokeDash=key)]


def _legend(symbol: str) -> alt.Legend:
    return alt.Legend(orient="top", symbolType=symbol, labelLimit=0, columns=3, symbolSize=200, columnPadding=26)


def _tooltip() -> list[alt.Tooltip]:
    words = [alt.Tooltip("words:N", title=" "), alt.Tooltip("chosen:Q", format=",.4~g")]
    return [*words, alt.Tooltip("left:Q", title="left out", format=",.4~g"), alt.Tooltip("share:N", title="chosen")]


def _size(row: Row) -> float:
    return row["chosen"] + row["left"]


def _share(row: Row) -> float:
    return row["chosen"] / _size(row) if _size(row) else 0.0
