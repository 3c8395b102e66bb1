"""Comparisons of teacher and student: correlations of their logits, and maps of their embeddings."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
from numpy.typing import NDArray

from limbeck.report.figures import style
from limbeck.report.transfer_set.pictures import data_uri

Row = dict[str, Any]
Array = NDArray[np.floating]
MOST_NAMED = 20  # classes; above this neither axes nor legends have room for names
MOST_CELLS = 256  # classes; above this even a canvas is slow
_TOGETHER, _APART = "#2f81f7", "#e8710a"
_SIDE = 400  # pixels of one panel
_SHADES = [0.0, 0.95]
TITLES = ("below the diagonal teacher, above it student", "student \N{MINUS SIGN} teacher")


def correlation_maps(teacher: Array, student: Array, classes: list[str]) -> alt.HConcatChart:
    """Two heat maps: both networks' correlations on two sides of one diagonal, and their difference.

    Blue is positive and orange negative; the shade is the size, in the difference relative to the largest one. Numbers
    are stored once, as thousandths of one triangle, and are unpacked in the browser.

    Args:
        teacher, student: symmetric `[K, K]`.
        classes: K names, in the order of rows and columns.
    """
    size = len(classes)
    lower = np.tril_indices(size)
    packed = {
        "names": classes,
        "teacher": [round(1000 * float(value)) for value in teacher[lower]],
        "student": [round(1000 * float(value)) for value in student[lower]],
    }
    cells = alt.Chart(alt.sequence(0, size * size, as_="cell")).transform_calculate(
        row=f"floor(datum.cell / {size})", column=f"datum.cell % {size}"
    )
    cells = cells.transform_calculate(
        place="max(datum.row, datum.column) * (max(datum.row, datum.column) + 1) / 2 + min(datum.row, datum.column)"
    )
    cells = cells.transform_calculate(t="teacher[datum.place] / 1000", s="student[datum.place] / 1000")
    cells = cells.transform_calculate(
        both="datum.row > datum.column ? datum.t : datum.s",
        difference="datum.s - datum.t",
        a="names[datum.row]",
        b="names[datum.column]",
    )
    named = size <= MOST_NAMED
    pick = alt.selection_point("cell", fields=["row", "column"], on="pointerover", clear="pointerout", empty=False)
    largest = largest_difference(teacher, student)
    panels = [
        _panel(cells, "both", TITLES[0], 1.0, size, pick if named else None),
        _panel(cells, "difference", TITLES[1], largest, size, pick if named else None),
    ]
    constants = [alt.VariableParameter(name=name, value=value) for name, value in packed.items()]
    return _side_by_side(panels, [pick] if named else [], constants)


def correlation_still(teacher: Array, student: Array) -> str:
    """The same picture for many classes as an SVG that carries one pixel for each cell."""
    correlations, difference = correlation_pictures(teacher, student)
    panels = [
        f'<text x="{x}" y="16" font-size="13" font-weight="600" fill="currentColor">{title}</text>'
        f'<image x="{x}" y="26" width="{_SIDE}" height="{_SIDE}" style="image-rendering:pixelated" href="{uri}"/>'
        for x, title, uri in ((0, TITLES[0], correlations), (_SIDE + 24, TITLES[1], difference))
    ]
    width, height = 2 * _SIDE + 24, _SIDE + 28
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="{style.FONT}">{"".join(panels)}</svg>'
    )


def correlation_pictures(teacher: Array, student: Array) -> tuple[str, str]:
    """Both heat maps as data URIs, one pixel per cell."""
    below = np.tril(np.ones(teacher.shape, dtype=bool), -1)
    largest = largest_difference(teacher, student)
    return _pixels(np.where(below, teacher, student)), _pixels((student - teacher) / largest)


def largest_difference(teacher: Array, student: Array) -> float:
    """The largest difference of two correlations, at least a hundredth."""
    return max(float(np.abs(student - teacher).max()), 0.01)


def embedding_maps(rows: list[Row], classes: list[str], order: list[int]) -> alt.HConcatChart:
    """Two maps of the same images; pointing at one marks it in both, choosing a class fades the others.

    Args:
        rows: {"id", "class", "place": of the class in `order`, "tx", "ty", "sx", "sy", "teacher", "student": class they
            name}.
        classes: K names.
        order: the classes, related ones side by side; gives similar colours where there are too many for a legend.
    """
    kind, colour = _class_picker(classes, order)
    hover = alt.selection_point("image", fields=["id"], on="pointerover", clear="pointerout", empty=False)
    panels = []
    for who, letter in (("teacher", "t"), ("student", "s")):
        axis = {"axis": None, "scale": alt.Scale(zero=False, nice=False, padding=8)}
        panels.append(
            alt.Chart(style.values(rows), title=who)
            .mark_point(filled=True, strokeWidth=1.5)
            .encode(
                x=alt.X(f"{letter}x:Q", **axis),
                y=alt.Y(f"{letter}y:Q", **axis),
                color=colour,
                shape=alt.Shape(
                    f"{letter}right:N", scale=alt.Scale(domain=[True, False], range=["circle", "cross"]), legend=None
                ),
                size=alt.condition(hover, alt.value(240), alt.value(30)),
                opacity=alt.condition(kind, alt.value(0.8), alt.value(0.05)),
                tooltip=[
                    alt.Tooltip("class:N"),
                    alt.Tooltip("teacher:N", title="teacher says"),
                    alt.Tooltip("student:N", title="student says"),
                    alt.Tooltip("id:N", title="id"),
                ],
            )
            .properties(width=_SIDE + 20, height=_SIDE + 20)
        )
    return _side_by_side(panels, [kind, hover])


def _class_picker(classes: list[str], order: list[int]) -> tuple[alt.Parameter, alt.Color]:
    """The reader's choice of a class and the colours of all: by a legend, or by a menu where it would be too long."""
    if len(classes) <= MOST_NAMED:
        few = len(classes) <= 10
        legend = alt.Legend(orient="top", title=None, columns=10 if few else 7, symbolOpacity=1)
        scale = alt.Scale(domain=classes, scheme="tableau10" if few else "tableau20")
        kind = alt.selection_point("kind", fields=["class"], bind="legend")
        return kind, alt.Color("class:N", scale=scale, legend=legend)
    names = [classes[place] for place in order]
    menu = alt.binding_select(options=[None, *names], labels=["all classes", *names], name="class ")
    scale = alt.Scale(domain=[0, len(classes)], scheme="sinebow")
    kind = alt.selection_point("kind", fields=["class"], bind=menu)
    return kind, alt.Color("place:Q", scale=scale, legend=None, title=None)


def _panel(
    cells: alt.Chart, value: str, title: str, largest: float, size: int, pick: alt.Parameter | None
) -> alt.Chart:
    step = max(_SIDE // size, 1)
    words = "names[datum.value]"
    axis = alt.Axis(grid=False, ticks=False, domain=False, labelLimit=90, labelExpr=words, title=None)
    scale = alt.Scale(paddingInner=0, paddingOuter=0)
    shade = alt.FillOpacity("shade:Q", scale=alt.Scale(domain=[0, 1], range=_SHADES, clamp=True), legend=None)
    chart = (
        cells.transform_calculate(shade=f"abs(datum.{value}) / {largest:.6g}")
        .mark_rect(stroke=style.RULE, strokeWidth=0)
        .encode(
            x=alt.X("column:O", scale=scale, axis=axis.copy() if pick is not None else None),
            y=alt.Y("row:O", scale=scale, axis=axis.copy() if pick is not None and value == "both" else None),
            fill=alt.condition(f"datum.{value} < 0", alt.value(_APART), alt.value(_TOGETHER)),
            fillOpacity=shade,
            tooltip=[
                alt.Tooltip("a:N", title="class"),
                alt.Tooltip("b:N", title="and"),
                alt.Tooltip("t:Q", title="teacher", format="+.2f"),
                alt.Tooltip("s:Q", title="student", format="+.2f"),
                alt.Tooltip("difference:Q", title="difference", format="+.2f"),
            ],
        )
        .properties(width=alt.Step(step), height=alt.Step(step), title=title)
    )
    return chart if pick is None else chart.encode(strokeWidth=alt.condition(pick, alt.value(2), alt.value(0)))


def _side_by_side(
    panels: list[alt.Chart], picks: list[alt.Parameter], constants: Sequence[alt.VariableParameter] = ()
) -> alt.HConcatChart:
    """Panels that share the reader's selections; one that is added to a panel would hold in that panel alone."""
    named = [panel.properties(name=f"panel{place}") for place, panel in enumerate(panels)]
    views = [panel.name for panel in named]
    params = [pick.param for pick in picks]
    shared = [
        alt.TopLevelSelectionParameter(**param.to_dict(), views=views)
        for param in params
        if isinstance(param, alt.SelectionParameter)
    ]
    return alt.HConcatChart(hconcat=named, spacing=24, params=[*constants, *shared])


def _pixels(values: Array) -> str:
    pixels = np.zeros((4, *values.shape), dtype=np.uint8)
    for mask, colour in ((values >= 0, _TOGETHER), (values < 0, _APART)):
        for channel in range(3):
            pixels[channel][mask] = int(colour[1 + 2 * channel : 3 + 2 * channel], 16)
    pixels[3] = (np.clip(np.abs(values), 0, 1) * _SHADES[1] * 255).astype(np.uint8)
    return data_uri(pixels, lossless=True)
