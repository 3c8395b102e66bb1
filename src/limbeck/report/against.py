"""Which control each arm is compared with, and why."""

from typing import Any

from limbeck.report.blocks import Block, Cell, Note, Table
from limbeck.report.controls import Controls

Row = dict[str, Any]
_RULE = (
    "An arm is set against the control that differs from it in what the arm is about and, as far as there is one, in "
    "nothing else: one that takes its images within every class against random images of every class, one that takes "
    "them over the whole set against any random images, and one that has a control's images and teaches otherwise "
    "against that control alone. Students without a teacher learn from the images of the same control."
)


def against_table(results: Row) -> list[Block]:
    """A row for each arm; nothing for results of earlier versions, and if no arm has a control at its budget."""
    rows, controls = results.get("against") or [], Controls.of(results)
    if not rows:
        return []
    cells = [
        (
            Cell(row["arm"], tone="strong"),
            controls.label(row["control"]),
            str(row["why"]),
            "" if row["student"] is None else controls.label(row["student"]),
        )
        for row in rows
    ]
    columns = ("Arm", "Set against", "For", "Without a teacher")
    table = Table("What each arm is set against", columns, cells, numeric=(), folded=len(cells) > 12)
    return [table, Note(_RULE)]
