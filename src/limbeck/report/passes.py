"""Teacher passes of arms that make images out of the teacher, beside those of their controls."""

from typing import Any

from limbeck.report import formats
from limbeck.report.blocks import Block, Cell, Note, Table
from limbeck.report.controls import Controls, arm_order

Row = dict[str, Any]
MORE = 1.5
"""An arm that asked its teacher more than this many times as often as its controls is mentioned in the lead."""
_NOTE = (
    "Making images asks the teacher, too. These are the answers that were needed, known ones among them; means per run."
)


def passes_table(results: Row) -> list[Block]:
    """A row for each such arm, budget and control; nothing if there are none, and for results of earlier versions."""
    controls, order = Controls.of(results), arm_order(results)
    rows = [
        (
            Cell(row["arm"], tone="strong"),
            str(row["budget"]),
            formats.number(row["passes"]),
            controls.label(control["name"]),
            formats.number(control["passes"]),
            _times(row, control),
        )
        for row in sorted(results.get("passes") or [], key=lambda row: order[row["arm"]])
        for control in row["controls"]
    ]
    columns = ("Arm", "Budget", "Teacher passes", "Control", "Its teacher passes", "Times as many")
    caption = "How often the teacher was asked for an arm and for its controls"
    return [Table(caption, columns, rows, numeric=(2, 4, 5), folded=len(rows) > 12), Note(_NOTE)] if rows else []


def passes_warning(results: Row) -> list[str]:
    """Which arms asked their teacher more than `MORE` times as often as any of their controls, in a sentence or none.

    Example:
        >>> control = {"name": "noise", "passes": 38_400, "equal": False}
        >>> row = {"arm": "bsr", "budget": "20", "passes": 89_600, "controls": [control], "mend": "asked: true"}
        >>> passes_warning({"passes": [row], "controls": []})[0].split("; ")[0]
        'Not at equal teacher passes: bsr asked the teacher 2.3 times as often as noise'
    """
    rows = [row for row in results.get("passes") or [] if _least(row) > MORE]
    if not rows:
        return []
    controls, first = Controls.of(results), max(rows, key=_least)
    closest = max(first["controls"], key=lambda control: control["passes"])
    others = len({row["arm"] for row in rows} - {first["arm"]})
    more = f", and {formats.plural(others, 'other arm')} more than {MORE:g} times" if others else ""
    return [
        f"Not at equal teacher passes: {first['arm']} asked the teacher {_times(first, closest)} times as often as "
        f"{controls.label(closest['name'])}{more}; {first['mend']} in these arms adds controls that ask as often"
    ]


def _least(row: Row) -> float:
    """How many times as often as the control that asked most."""
    return row["passes"] / max(1.0, *(control["passes"] for control in row["controls"]))


def _times(row: Row, control: Row) -> str:
    return formats.number(row["passes"] / max(1.0, control["passes"]), 1)
