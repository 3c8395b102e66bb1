"""Learning curves: a measure against steps, one line per arm, term or split."""

from collections import defaultdict
from typing import Any

import altair as alt

from limbeck.report import formats, reading
from limbeck.report.figures import style

Row = dict[str, Any]


def mean_over_seeds(runs: list[list[Row]], kind: str, key: str) -> list[Row]:
    """{"step", "value"} of one measure, averaged over the seeds; only steps that every seed reached count."""
    by_step: dict[int, list[float]] = defaultdict(list)
    for records in runs:
        for record in records:
            if record["kind"] == kind and formats.is_number(record.get(key)):
                by_step[record["step"]].append(record[key])
    seeds = max(map(len, by_step.values()), default=0)
    rows = [
        {"step": step, "value": sum(values) / len(values)}
        for step, values in sorted(by_step.items())
        if len(values) == seeds
    ]
    return reading.thin(rows)


def arm_curves(rows: list[Row], styles: dict[str, style.Arm], *, domain: list[float], share: bool) -> alt.Chart:
    """Curves of all arms at one budget.

    Args:
        rows: {"arm", "step", "value"}.
        domain: of the y axis, the same for all budgets.
        share: whether values are fractions, shown as percent.
    """
    dashes = alt.Scale(domain=list(styles), range=[list(arm.dash) for arm in styles.values()])
    return (
        alt.Chart(style.values(rows))
        .mark_line(strokeWidth=1.75, clip=True)
        .encode(
            x=_steps(),
            y=_measure(share, alt.Scale(domain=domain, nice=False, zero=False)),
            color=style.colours(styles),
            strokeDash=alt.StrokeDash("arm:N", scale=dashes, legend=None),
            tooltip=[alt.Tooltip("arm:N"), alt.Tooltip("step:Q", format=",d"), _value(share)],
        )
        .properties(height=190)
    )


def series_curves(rows: list[Row], *, share: bool = False, height: int = 200) -> alt.Chart:
    """Curves of one run: {"series", "step", "value"} with a legend if there are several series."""
    names = list(dict.fromkeys(row["series"] for row in rows))
    legend = (
        alt.Legend(orient="top", title=None, symbolType="stroke", symbolSize=300, columns=3) if len(names) > 1 else None
    )
    scale = alt.Scale(zero=False, nice=True)
    palette = alt.Scale(domain=names, range=list(style.USER_COLOURS))
    return (
        alt.Chart(style.values(rows))
        .mark_line(strokeWidth=1.75, point=alt.OverlayMarkDef(size=14) if len(rows) <= 40 else False)
        .encode(
            x=_steps(),
            y=_measure(share, scale),
            color=alt.Color("series:N", scale=palette, legend=legend),
            tooltip=[alt.Tooltip("series:N"), alt.Tooltip("step:Q", format=",d"), _value(share)],
        )
        .properties(height=height)
    )


def _steps() -> alt.X:
    axis = alt.Axis(grid=False, tickCount=5, format=",d", labelOverlap=True)
    return alt.X("step:Q", title="step", axis=axis, scale=alt.Scale(nice=False, domainMin=0))


def _measure(share: bool, scale: alt.Scale) -> alt.Y:
    return alt.Y("value:Q", title=None, scale=scale, axis=alt.Axis(format="~%" if share else "~g", tickCount=5))


def _value(share: bool) -> alt.Tooltip:
    return alt.Tooltip("value:Q", format=".2%" if share else ".4g")
