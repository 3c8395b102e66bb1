"""The section of a comparison that says how little data is enough: charts, table, and how they were computed."""

from typing import Any

from limbeck.report import enough, formats
from limbeck.report.blocks import Block, Cell, Chart, Legend, Note, Section, Table
from limbeck.report.controls import Controls, arm_order
from limbeck.report.figures.enough import enough_chart, margins_chart
from limbeck.report.figures.style import Arm
from limbeck.report.vega import figure

Row = dict[str, Any]


def enough_section(results: Row, styles: dict[str, Arm]) -> Section | None:
    """None for results without it: those of arms without budgets, and of earlier versions."""
    answer = results.get("enough")
    if not answer:
        return None
    controls = Controls.of(results)
    against = enough.reference(answer, controls)
    label = f"Images every arm needs to come near {against}"
    chart = figure(enough_chart(results), "enough", label, wide=True)
    caption = (
        f"Images with which the mean over seeds comes within {enough.points(answer['margin'])} of {against}. Dots are "
        "these images, bars their 95 % interval, pale bars the budgets that were tried; a triangle says that the "
        "images, or an end of the interval, may lie beyond these."
    )
    blocks: list[Block] = [Chart(chart, "", caption), _table(answer, controls, arm_order(results))]
    if any(row["images"] is not None for row in answer["by_margin"]):
        other = figure(margins_chart(results), "enough-margins", "Images needed against the margin allowed")
        words = "For other margins. Bands are the 95 % intervals of the arms that are no controls, three at most."
        drawn = [styles[row["arm"]] for row in answer["arms"]]
        blocks[1:1] = [Legend(sorted(drawn, key=lambda arm: list(styles).index(arm.name))), Chart(other, "", words)]
    return Section("enough", "How little is enough", [*blocks, Note(_how(answer))])


def _table(found: Row, controls: Controls, order: dict[str, int]) -> Table:
    columns = ("Arm", "n", "Images", "95 % interval", "Teacher passes", "Time", "Energy", "Seeds to tell")
    full = found["reference"]["images"]
    rows = [
        (
            Cell(controls.label(row["arm"]), tone="quiet" if row["control"] else "strong"),
            str(row["n"]),
            Cell(enough.images(row), note=_share(row["images"], full)),
            enough.interval(row) or formats.ABSENT,
            _cost(row, "teacher_passes", formats.number),
            _cost(row, "seconds", formats.duration),
            _cost(row, "energy_kwh", formats.energy),
            enough.more_seeds(row["seeds_needed"], row["n"]) or formats.ABSENT,
        )
        for row in sorted(found["arms"], key=lambda row: order[row["arm"]])
    ]
    caption = "Images needed, and what a run with so many costs, with the costs at the ends of the interval below it"
    return Table(caption, columns, rows)


def _share(images: int | None, full: int | None) -> str:
    return f"{formats.percent(images / full)} of all" if images and full else ""


def _cost(row: Row, key: str, words: Any) -> Cell:
    """The cost at the images needed, and as a note at both ends of the interval, as far as they are known."""
    at = {end: None if costs is None else costs.get(key) for end, costs in row["costs"].items()}
    value, low, high = (None if at[end] is None else words(at[end]) for end in ("images", "low", "high"))
    span = f"{low} to {high}" if low != high else ""
    note = span if low and high else f"from {low}" if low else f"up to {high}" if high else ""
    return Cell(value or formats.ABSENT, note=note)


def _how(found: Row) -> str:
    what = "the full data" if found["reference"]["images"] else "the arm beside the teacher, which has no seed noise"
    return (
        "Between two budgets the mean accuracy is interpolated linearly in the logarithm of the images, which of "
        "curves that flatten out tells rather too many images than too few; beyond the budgets nothing is guessed. In "
        "the interval lie the images at which Student's t over the seeds, each paired with the same seed of "
        f"{what}, cannot tell the arm from the margin; a bootstrap of a few seeds would be too sure. Seeds to tell are "
        "those it would take to know whether the largest budget is enough, if means and spread stay as they are."
    )
