"""Linear probes: accuracy of the networks side by side, and how the strength of regularisation was chosen."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from limbeck.report.figures import style

Row = dict[str, Any]
_CONTROL = "untrained"


def accuracy_dots(rows: Sequence[Row]) -> alt.LayerChart:
    """One line per network, a dot for each seed on a bar from 0 to their mean; networks in the order given.

    Args:
        rows: {"name", "role", "mean", "top1": one for each seed}.
    """
    names = [row["name"] for row in rows]
    bars = [{"name": row["name"], "value": row["mean"], "control": row["role"] == _CONTROL} for row in rows]
    dots = [{"name": row["name"], "value": value} for row in rows for value in row["top1"]]
    axis = alt.Axis(grid=False, ticks=False, domain=False, labelLimit=260)
    y = alt.Y("name:N", sort=names, title=None, axis=axis)
    x = alt.X("value:Q", title=None, scale=alt.Scale(zero=True), axis=alt.Axis(format="~%", tickCount=5))
    shade = alt.condition("datum.control", alt.value(style.RULE), alt.value(style.USER_COLOURS[0]))
    tooltip = [alt.Tooltip("name:N", title="network"), alt.Tooltip("value:Q", title="top-1", format=".2%")]
    means = alt.Chart(style.values(bars)).mark_bar(height=12, opacity=0.75)
    seeds = alt.Chart(style.values(dots)).mark_point(filled=True, size=26, opacity=0.9, color=style.PAGE_INK)
    layers = [means.encode(x=x, y=y, color=shade, tooltip=tooltip)]
    if len(dots) > len(bars):
        layers.append(seeds.encode(x=x, y=y, tooltip=tooltip))
    return alt.LayerChart(layer=layers, height=26 * len(names))


def strength_curves(rows: Sequence[Row]) -> alt.LayerChart:
    """Negative log-likelihood on the held-out images against the strength, one curve per network, the least marked.

    Args:
        rows: {"name", "tried": [{"strength", "nll", "top1"}]}.
    """
    names = [row["name"] for row in rows]
    points = [
        {"name": row["name"], **attempt, "chosen": attempt["nll"] == min(other["nll"] for other in row["tried"])}
        for row in rows
        for attempt in row["tried"]
    ]
    legend = alt.Legend(orient="top", title=None, symbolType="stroke", symbolSize=300, columns=2, labelLimit=0)
    colour = alt.Color(
        "name:N",
        scale=alt.Scale(domain=names, range=list(style.USER_COLOURS)),
        legend=legend if len(names) > 1 else None,
        title=None,
    )
    axis = alt.Axis(grid=False, tickCount=6, format="~e")
    base = alt.Chart(style.values(points)).encode(
        x=alt.X("strength:Q", title="strength of regularisation", scale=alt.Scale(type="log", nice=False), axis=axis),
        y=alt.Y("nll:Q", title=None, scale=alt.Scale(zero=False, nice=True), axis=alt.Axis(tickCount=5)),
        color=colour,
        tooltip=[
            alt.Tooltip("name:N", title="network"),
            alt.Tooltip("strength:Q", format=".1e"),
            alt.Tooltip("nll:Q", title="negative log-likelihood", format=".4f"),
            alt.Tooltip("top1:Q", title="top-1, held out", format=".1%"),
        ],
    )
    lines = base.mark_line(strokeWidth=1.75)
    dots = base.mark_point(filled=True, opacity=1).encode(
        size=alt.condition("datum.chosen", alt.value(90), alt.value(18))
    )
    return alt.LayerChart(layer=[lines, dots], height=200)
