"""Accuracy against a number that arms of a comparison differ in."""

from typing import Any

import altair as alt

from limbeck.report.figures import style

Row = dict[str, Any]
_WIDE = 30  # times the smallest value, from where on the axis is logarithmic


def setting_curves(means: list[Row], seeds: list[Row], name: str) -> alt.LayerChart:
    """Means over seeds with their intervals, single seeds as small dots; a line for each of several kinds of arms.

    Args:
        means: {"line", "x", "mean", "low", "high", "arm", "accuracy", "n"}; "low" and "high" None for one seed.
        seeds: {"line", "x", "top1", "arm", "seed", "accuracy"}.
        name: of the setting.
    """
    lines = list(dict.fromkeys(row["line"] for row in means))
    places = [row["x"] for row in means]
    wide = min(places) > 0 and max(places) / min(places) > _WIDE
    scale = alt.Scale(type="log", nice=False, padding=12) if wide else alt.Scale(zero=False, nice=False, padding=12)
    values = sorted(set(places))
    axis = alt.Axis(grid=False, values=values, labelExpr="format(datum.value, '~g')", labelOverlap=True)
    x = alt.X("x:Q", title=name, scale=scale, axis=axis)
    heights = [row[key] for row in means for key in ("mean", "low", "high")] + [row["top1"] for row in seeds]
    domain = style.padded_share(heights)
    y_scale = alt.Scale(domain=domain, nice=False, zero=False)
    y = alt.Y("mean:Q", scale=y_scale, title="top-1 accuracy on the test set", axis=alt.Axis(tickCount=6, format="~%"))
    palette = alt.Scale(
        domain=lines, range=[style.USER_COLOURS[i % len(style.USER_COLOURS)] for i in range(len(lines))]
    )
    legend = alt.Legend(orient="top", title=None, symbolType="stroke", symbolSize=300, columns=2, labelLimit=0)
    colour = alt.Color("line:N", scale=palette, legend=legend if len(lines) > 1 else None)
    tooltips = [alt.Tooltip("arm:N"), alt.Tooltip("x:Q", title=name, format="~g"), alt.Tooltip("accuracy:N")]
    mean = alt.Chart(style.values(means)).encode(x=x, y=y, color=colour)
    spans = [row for row in means if row["low"] is not None]
    rules = alt.Chart(style.values(spans)).mark_rule(strokeWidth=1.5, aria=False)
    dots = alt.Chart(style.values(seeds)).mark_point(filled=True, size=20, opacity=0.45, aria=False)
    layers = [
        mean.mark_line(strokeWidth=1.75, aria=False),
        *([rules.encode(x=x, y=alt.Y("low:Q", scale=y_scale), y2=alt.Y2("high:Q"), color=colour)] if spans else []),
        dots.encode(x=x, y=alt.Y("top1:Q", scale=y_scale), color=colour, tooltip=[*tooltips, alt.Tooltip("seed:N")]),
        mean.mark_point(filled=True, size=60, opacity=1, aria=False).encode(tooltip=[*tooltips, alt.Tooltip("n:N")]),
    ]
    return alt.LayerChart(layer=layers, height=230)
