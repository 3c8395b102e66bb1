"""One look for all charts: colours that read on white and on near-black, text in the colour of the page around it."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import altair as alt

from limbeck.report.controls import Controls, arm_order
from limbeck.report.formats import is_number

AnyChart = alt.Chart | alt.LayerChart | alt.HConcatChart
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
PAGE_INK = "currentColor"
PAPER_INK = "#24292f"
RULE = "#7d8590"
USER_COLOURS = ("#2f81f7", "#e8710a", "#1a9e6b", "#b658c4", "#d1433f", "#a07d00", "#0e9aa7", "#8a63d2")
USER_DASHES: tuple[tuple[int, ...], ...] = ((1, 0), (8, 3), (3, 3), (9, 3, 3, 3))
Stroke = tuple[str, tuple[int, ...]]
CONTROL_STROKES: tuple[Stroke, ...] = (
    ("#6e7681", (7, 3)),
    ("#9aa1ab", (2, 3)),
    ("#b3a394", (7, 3, 2, 3)),
    ("#8c959f", (1, 2)),
    ("#a08f7d", (4, 2)),
)
FULL_STROKES: tuple[Stroke, ...] = (("#6e7681", (1, 0)), ("#b3a394", (1, 0)))


@dataclass(frozen=True)
class Arm:
    """How one arm is drawn, the same in every chart of a page."""

    name: str
    label: str
    colour: str
    dash: tuple[int, ...]
    control: bool


def arms(results: dict[str, Any]) -> dict[str, Arm]:
    """Styles by arm, in the order of `arm_order`: the user's arms in colour, the controls in greys."""
    controls = Controls.of(results)
    strokes = dict([*zip(controls.of_budget, cycle(CONTROL_STROKES)), *zip(controls.full, cycle(FULL_STROKES))])
    control = {run["arm"]: bool(run["control"]) for run in results["runs"]}
    return {
        arm: Arm(arm, controls.label(arm), *strokes.get(arm, (RULE, (4, 2))), True)
        if control[arm]
        else Arm(arm, arm, *_user_stroke(place), False)
        for arm, place in arm_order(results).items()
    }


def _user_stroke(place: int) -> Stroke:
    """Colour and dashes; if there are more arms than colours, those that share one differ in their dashes."""
    rounds, colour = divmod(place, len(USER_COLOURS))
    return USER_COLOURS[colour], USER_DASHES[rounds % len(USER_DASHES)]


def label_words(styles: dict[str, Arm]) -> str:
    """A Vega expression that shows the labels of arms in place of their names."""
    return f"({json.dumps({name: arm.label for name, arm in styles.items()})})[datum.label] || datum.label"


def colours(styles: dict[str, Arm], legend: alt.Legend | None = None) -> alt.Color:
    """The colour channel of the field `arm`."""
    scale = alt.Scale(domain=list(styles), range=[arm.colour for arm in styles.values()])
    return alt.Color("arm:N", scale=scale, legend=legend, title=None)


def values(rows: Iterable[dict[str, Any]]) -> alt.Data:
    """Rows as inline data."""
    return alt.Data(values=list(rows))


def padded(numbers: Iterable[float | None], share: float = 0.08) -> list[float]:
    """The range of `numbers` with room on both sides."""
    finite = [number for number in numbers if number is not None and is_number(number)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    room = (high - low) * share or 0.01
    return [low - room, high + room]


def padded_share(numbers: Iterable[float | None], share: float = 0.08) -> list[float]:
    """`padded` of fractions shown as percent, never below 0 nor above 1.

    Example:
        >>> padded_share([0.5, 1.02]), padded_share([1.0])
        ([0.4584, 1.0], [0.99, 1.0])
    """
    low, high = padded(numbers, share)
    return [min(max(low, 0.0), 0.99), max(min(high, 1.0), 0.01)]


def within(value: float) -> float:
    """`value` clipped to 0..1, as an interval may reach beyond what accuracy can be."""
    return min(max(value, 0.0), 1.0)


def cost_scale(numbers: Iterable[float]) -> alt.Scale:
    """Logarithmic where the numbers are positive and span more than a factor of four, else from zero."""
    costs = list(numbers)
    low, high = (min(costs), max(costs)) if costs else (0.0, 1.0)
    if low > 0 and high / low > 4:
        return alt.Scale(type="log", nice=False, padding=24)
    return alt.Scale(zero=True, nice=False, padding=24)


def count_scale(numbers: Iterable[float]) -> alt.Scale:
    """For counts that may be 0: logarithmic above the smallest other if the others span more than a factor of four."""
    positive = [number for number in numbers if number]
    if positive and max(positive) / min(positive) > 4:
        return alt.Scale(type="symlog", constant=min(positive), nice=False, padding=24)
    return alt.Scale(zero=True, nice=False, padding=24)


def look(*, ink: str = PAGE_INK, background: str = "transparent") -> dict[str, Any]:
    """Vega-Lite's `config` of the page (transparent, text in the page's colour) or of paper (white, dark ink)."""
    label = {"labelColor": ink, "titleColor": ink, "labelFontSize": 12, "titleFontSize": 12}
    axis = label | {
        "titleFontWeight": "normal",
        "gridColor": ink,
        "gridOpacity": 0.1,
        "domainColor": ink,
        "domainOpacity": 0.35,
        "tickColor": ink,
        "tickOpacity": 0.35,
        "labelOpacity": 0.85,
        "labelPadding": 5,
        "titlePadding": 10,
    }
    return {
        "background": background,
        "font": FONT,
        "padding": 6,
        "axis": axis,
        "legend": label | {"symbolStrokeWidth": 2.5},
        "title": {"color": ink, "fontSize": 13, "anchor": "start", "fontWeight": 600},
        "view": {"stroke": None},
    }
