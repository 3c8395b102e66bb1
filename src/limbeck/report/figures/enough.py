"""How little data is enough: the images each arm needs with their interval, and what other margins would need."""

import json
from collections.abc import Iterable
from typing import Any, Literal

import altair as alt

from limbeck.report import formats
from limbeck.report.controls import Controls
from limbeck.report.enough import images, interval, points
from limbeck.report.figures import style

Row = dict[str, Any]
_ROW, _LETTER = 32, 7  # pixels
_BANDS = 3


def enough_chart(results: Row) -> alt.LayerChart:
    """A row per arm, unstyled: its budgets as a pale bar, the interval and the images needed.

    A triangle at an end of the budgets says that what is sought may lie beyond it.

    Args:
        results: the content of results.json, with `enough`.
    """
    answer, styles = results["enough"], style.arms(results)
    rows = [_positions(row) for row in sorted(answer["arms"], key=lambda row: list(styles).index(row["arm"]))]
    scale = alt.Scale(domain=[row["arm"] for row in rows])
    words = {row["arm"]: row["words"] for row in rows}
    left = _words_axis("left", style.label_words(styles), (styles[row["arm"]].label for row in rows))
    right = _words_axis("right", f"({json.dumps(words)})[datum.label]", words.values())
    colour = style.colours(styles)

    def marks(key: str) -> alt.Chart:
        drawn = (row for row in rows if row[key] is not None)
        y = alt.Y("arm:N", scale=scale, axis=None)
        return alt.Chart(style.values(drawn)).encode(x=alt.X(f"{key}:Q"), y=y, color=colour)

    def budgets(axis: alt.Axis, opacity: float) -> alt.Chart:
        mark = alt.Chart(style.values(rows)).mark_rule(
            strokeWidth=9, opacity=opacity, color=style.RULE, strokeCap="round"
        )
        x = _images(answer["arms"], answer["reference"]["images"])
        return mark.encode(x=x, x2=alt.X2("most:Q"), y=alt.Y("arm:N", scale=scale, title=None, axis=axis))

    tooltip = [alt.Tooltip(f"{key}:N") for key in ("arm", "images", "interval", "n")]
    triangle: dict[str, Any] = {"filled": True, "size": 90, "opacity": 1}
    layers = [
        budgets(left, 0.15),
        budgets(right, 0.0),
        marks("from").mark_rule(strokeWidth=3, opacity=0.75).encode(x2=alt.X2("to:Q")),
        marks("below").mark_point(shape="triangle-left", **triangle),
        marks("above").mark_point(shape="triangle-right", **triangle),
        marks("estimate").mark_point(filled=True, size=95, opacity=1).encode(tooltip=tooltip),
        *_full_layers(answer["reference"], Controls.of(results)),
    ]
    # Independent scales have axes of their own: names at the left, results at the right.
    return alt.LayerChart(
        layer=layers, resolve=alt.Resolve(scale=alt.ScaleResolveMap(y="independent")), height=_ROW * len(rows)
    )


def _words_axis(side: Literal["left", "right"], expression: str, words: Iterable[str]) -> alt.Axis:
    """Words beside the rows, with room for the longest in any font, as that of the page is not known here."""
    room = _LETTER * max(map(len, words))
    plain = {"grid": False, "ticks": False, "domain": False, "labelPadding": 10, "labelLimit": 300}
    return alt.Axis(orient=side, labelExpr=expression, minExtent=min(room, 300) + 10, **plain)


def margins_chart(results: Row) -> alt.LayerChart:
    """Images needed against the margin allowed: a line per arm, its interval as a band for the user's first arms."""
    answer, styles = results["enough"], style.arms(results)
    ends = {row["arm"]: row for row in answer["arms"]}
    rows = [row for row in answer["by_margin"] if row["images"] is not None]
    banded = [arm for arm, row in ends.items() if not row["control"]][:_BANDS]
    bands = [
        row | {"low": row["low"] or ends[row["arm"]]["least"], "high": row["high"] or ends[row["arm"]]["most"]}
        for row in answer["by_margin"]
        if row["arm"] in banded and ends[row["arm"]]["n"] > 1
    ]
    widest = [row[end] for row in answer["arms"] for end in ("least", "most")]
    percent = alt.Axis(grid=False, tickCount=6, labelExpr="format(100 * datum.value, '.1~f')")
    x = alt.X("margin:Q", title="points of accuracy given up", scale=alt.Scale(nice=False, zero=True), axis=percent)
    y = alt.Y("images:Q", title="images needed", scale=_scale(widest), axis=_axis())
    colour = style.colours(styles)
    dashes = alt.Scale(domain=list(styles), range=[list(arm.dash) for arm in styles.values()])
    tooltip = [alt.Tooltip("arm:N"), alt.Tooltip("margin:Q", format=".2%"), alt.Tooltip("images:Q", format=",d")]
    lines = alt.Chart(style.values(rows)).mark_line(strokeWidth=2).encode(x=x, y=y, color=colour, tooltip=tooltip)
    margin = alt.Chart(style.values([{"margin": answer["margin"], "label": points(answer["margin"])}]))
    label = margin.mark_text(align="left", dx=5, fontSize=11, baseline="top", color=style.PAGE_INK)
    layers = [
        alt.Chart(style.values(bands))
        .mark_area(opacity=0.14)
        .encode(x=x, y=alt.Y("low:Q"), y2=alt.Y2("high:Q"), color=colour),
        lines.encode(strokeDash=alt.StrokeDash("arm:N", scale=dashes, legend=None)),
        margin.mark_rule(color=style.RULE, strokeWidth=1.25).encode(x=alt.X("margin:Q")),
        label.encode(x=alt.X("margin:Q"), y=alt.value(2), text=alt.Text("label:N")),
    ]
    return alt.LayerChart(layer=layers, height=250)


def _positions(row: Row) -> Row:
    """Where the marks of an arm are; None where it has none."""
    inside, has_interval = interval(row), row["n"] > 1
    return {
        **{key: row[key] for key in ("arm", "n", "least", "most")},
        "images": images(row),
        "interval": inside or formats.ABSENT,
        "words": images(row) + (f" ({inside})" if inside else ""),
        "estimate": row["images"],
        "from": (row["low"] or row["least"]) if has_interval else None,
        "to": (row["high"] or row["most"]) if has_interval else None,
        "below": row["least"] if has_interval and row["low"] is None and row["high"] != row["least"] else None,
        "above": row["most"] if row["images"] is None or (has_interval and row["high"] is None) else None,
    }


def _full_layers(reference: Row, controls: Controls) -> list[alt.Chart]:
    """The full data as a line with its name above the rows; none where the arms are set against the teacher."""
    if not reference["images"]:
        return []
    label = f"{controls.label(reference['name'])} {formats.number(reference['images'])}"
    full = alt.Chart(style.values([{"full": reference["images"], "label": label}])).encode(x=alt.X("full:Q"))
    words = full.mark_text(align="right", dx=4, dy=-4, fontSize=11, baseline="bottom", color=style.PAGE_INK)
    return [
        full.mark_rule(color=style.RULE, strokeWidth=1.25),
        words.encode(y=alt.value(0), text=alt.Text("label:N")),
    ]


def _images(rows: Iterable[Row], full: int | None) -> alt.X:
    counts = [row[end] for row in rows for end in ("least", "most")] + ([full] if full else [])
    return alt.X("least:Q", title="images needed", scale=_scale(counts), axis=_axis())


def _axis() -> alt.Axis:
    return alt.Axis(format=",d", tickCount=6, labelOverlap=True)


def _scale(numbers: list[int]) -> alt.Scale:
    """Logarithmic, with room for the marks at both ends."""
    return alt.Scale(type="log", domain=[min(numbers) / 1.15, max(numbers) * 1.15], nice=False)
