"""Where a student errs: accuracy of each class and the confusion matrix."""

from typing import Any

import altair as alt
import numpy as np

from limbeck.report import formats
from limbeck.report.figures import style
from limbeck.report.transfer_set.pictures import data_uri

Row = dict[str, Any]
MOST_CELLS = 20  # classes; above this a confusion matrix is a picture, as thousands of SVG cells are slow
MOST_BARS = 30
_RIGHT, _WRONG = "#2f81f7", "#e8710a"


def class_dots(series: dict[str, list[Row]]) -> alt.LayerChart:
    """One row per class, one dot per series, worst class of the first series at the top.

    Args:
        series: name -> [{"class", "value"}] with values in 0..1, classes in the same order.
    """
    first = next(iter(series.values()))
    order = [row["class"] for row in sorted(first, key=lambda row: row["value"])][:MOST_BARS]
    rows = [{"series": name, **row} for name, rows in series.items() for row in rows if row["class"] in set(order)]
    shades = [style.USER_COLOURS[0], style.RULE, style.USER_COLOURS[1]][: len(series)]
    colour = alt.Color(
        "series:N",
        title=None,
        scale=alt.Scale(domain=list(series), range=shades),
        legend=alt.Legend(orient="top", columns=1, labelLimit=0) if len(series) > 1 else None,
    )
    y = alt.Y("class:N", sort=order, title=None, axis=alt.Axis(grid=False, ticks=False, domain=False, labelLimit=140))
    low, high = style.padded(row["value"] for row in rows)
    scale = alt.Scale(domain=[max(low, 0), min(high, 1)], nice=False)
    base = alt.Chart(style.values(rows)).encode(y=y)
    x = alt.X("value:Q", title=None, scale=scale, axis=alt.Axis(format="~%", tickCount=5))
    span = base.mark_rule(color=style.RULE, opacity=0.45, strokeWidth=2)
    tooltip = [alt.Tooltip("class:N"), alt.Tooltip("series:N"), alt.Tooltip("value:Q", format=".1%")]
    dots = base.mark_point(filled=True, size=75, opacity=1).encode(x=x, color=colour, tooltip=tooltip)
    low_high = {"x": alt.X("min(value):Q", title=None, scale=scale), "x2": "max(value):Q"}
    return alt.LayerChart(layer=[span.encode(**low_high), dots], height=24 * len(order))


def confusion_map(
    counts: list[list[int]], classes: list[str], titles: tuple[str, str] = ("true class", "predicted")
) -> alt.LayerChart:
    """Heat map of a confusion matrix, rows true and columns predicted, as share of the true class.

    The diagonal is blue; errors are orange and their shade is relative to the commonest error, else none would be seen.

    Args:
        counts: of rows and columns.
        classes: their names.
        titles: what rows and columns are.
    """
    shares, shades = _shares(counts)
    rows = [
        {
            "true": true,
            "predicted": predicted,
            "right": i == j,
            "shade": float(shades[i, j]),
            "images": int(counts[i][j]),
            "share": formats.percent(float(shares[i, j])),
            "words": _cell(float(shares[i, j])),
        }
        for i, true in enumerate(classes)
        for j, predicted in enumerate(classes)
    ]
    axis = alt.Axis(grid=False, ticks=False, domain=False, labelLimit=90)
    base = alt.Chart(style.values(rows)).encode(
        x=alt.X("predicted:N", sort=classes, title=titles[1], axis=axis.copy()),
        y=alt.Y("true:N", sort=classes, title=titles[0], axis=axis.copy()),
    )
    side = max(26, min(46, 470 // len(classes)))
    cells = base.mark_rect(cornerRadius=2).encode(
        fill=alt.condition("datum.right", alt.value(_RIGHT), alt.value(_WRONG)),
        fillOpacity=alt.FillOpacity("shade:Q", scale=alt.Scale(domain=[0, 1], range=[0.03, 0.95]), legend=None),
        tooltip=[
            alt.Tooltip("true:N", title=titles[0].removesuffix(" class")),
            alt.Tooltip("predicted:N", title=titles[1]),
            *(alt.Tooltip(f"{key}:N") for key in ("images", "share")),
        ],
    )
    ink = alt.condition("datum.shade > 0.55", alt.value("white"), alt.value(style.PAGE_INK))
    words = base.mark_text(fontSize=11).encode(text=alt.Text("words:N"), color=ink)
    return alt.LayerChart(layer=[cells, words], width=alt.Step(side), height=alt.Step(side))


def confusion_picture(counts: list[list[int]]) -> str:
    """The heat map of many classes as a data URI: one pixel per cell, colours as in `confusion_map`."""
    _, shades = _shares(counts)
    size = len(shades)
    pixels = np.zeros((4, size, size), dtype=np.uint8)
    diagonal = np.eye(size, dtype=bool)
    for mask, colour in ((diagonal, _RIGHT), (~diagonal, _WRONG)):
        for channel in range(3):
            pixels[channel][mask] = int(colour[1 + 2 * channel : 3 + 2 * channel], 16)
    pixels[3] = (shades * 255).astype(np.uint8)
    return data_uri(pixels, lossless=True)


def common_errors(counts: list[list[int]], classes: list[str], most: int = 8) -> list[Row]:
    """The largest shares off the diagonal: {"true", "predicted", "images", "share"}."""
    shares, _ = _shares(counts)
    np.fill_diagonal(shares, 0)
    order = np.argsort(-shares, axis=None, kind="stable")[:most]
    places = [divmod(int(place), len(classes)) for place in order]
    return [
        {"true": classes[i], "predicted": classes[j], "images": counts[i][j], "share": float(shares[i, j])}
        for i, j in places
        if shares[i, j] > 0
    ]


def _shares(counts: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Shares of the true class [K, K], and shades in 0..1."""
    matrix = np.asarray(counts, dtype=np.float64)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    errors = shares - np.diag(np.diag(shares))
    shades = errors / (errors.max() or 1) * 0.85
    np.fill_diagonal(shades, np.diag(shares))
    return shares, shades


def _cell(share: float) -> str:
    return "" if share < 0.005 else formats.number(share * 100)
