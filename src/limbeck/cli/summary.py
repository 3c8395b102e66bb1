"""What a comparison found, on one screen: a headline, one table of arms and budgets, what it took, and what failed."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.cells import cell_len, set_cell_size

from limbeck.cli.display import console, errors, percent, show_paragraph, show_race, show_table

Row = Mapping[str, Any]
_MOST_LINES = 6  # of sentences; all stand in the report
_MOST_FAILED = 6
_NAMES = 0.4  # of the width, at most, for names of arms
_GAP = 2  # cells between columns
SIGNS = {"better": "▲", "worse": "▼"}


def show_summary(results: Mapping[str, Any], folder: Path) -> None:
    """Prints the summary; `folder` is that of the comparison."""
    from limbeck.cost import RunCost
    from limbeck.report.cost_tables import together

    console.print()
    _show_headlines(results)
    _show_table(results)
    own = [row for row in results["runs"] if not row.get("repeats")]
    costs = [cost for row in own if (cost := RunCost.from_dict(row["cost"])).known]
    if costs:
        show_paragraph(together(costs, []))
    show_race(results)
    _show_failed(results["runs"])
    tables = f"`limbeck report {shlex.quote(str(folder))} --tables`"
    console.print(f"report: {folder / 'report.html'}; results.csv, results.tex beside it", markup=False, soft_wrap=True)
    console.print(f"all tables: {tables}", markup=False, soft_wrap=True)


def _show_headlines(results: Mapping[str, Any]) -> None:
    from limbeck.report.passes import passes_warning
    from limbeck.report.sentences import headlines

    sentences = [*headlines(dict(results)), *passes_warning(dict(results))]
    lengths = [sum(map(cell_len, sentences[:count])) + 2 * count for count in range(1, len(sentences) + 1)]
    count = max(sum(cells <= _MOST_LINES * console.width for cells in lengths), 1)
    headline = f"{results['name']}: {'. '.join(sentences[:count])}."
    more = f" ({len(sentences) - count} more in the report)" if count < len(sentences) else ""
    show_paragraph(headline + more, "bold")


def _show_table(results: Mapping[str, Any]) -> None:
    """Arms by budgets, in as many parts as the terminal's width asks for."""
    from limbeck.report.controls import arm_order

    rows = results["table"]
    if not rows:
        return
    signs, legend = _signs(results)
    order = arm_order(dict(results))
    rows = sorted(rows, key=lambda row: order[row["arm"]])
    arms = {row["arm"]: f"{row['arm']}{' *' if row['control'] else ''}" for row in rows}
    cells = {(row["arm"], row["budget"]): _cell(row, signs) for row in rows}
    headings = {row["budget"]: _heading(row) for row in sorted(rows, key=lambda row: row["images"])}
    widths = {
        budget: max(cell_len(text) for text in (heading, *(cells.get((arm, budget), "") for arm in arms)))
        for budget, heading in headings.items()
    }
    longest = min(max(map(cell_len, arms.values())), round(_NAMES * console.width))
    show_paragraph(f"top-1 in % after the last step, {_seeds(rows)}")
    for budgets in _parts(widths, console.width - longest):
        shown = [
            [name, *(cells.get((arm, budget), "") for budget in budgets)]
            for arm, name in arms.items()
            if any((arm, budget) in cells for budget in budgets)
        ]
        show_table("", ["", *(headings[budget] for budget in budgets)], shown, numbers=range(1, len(budgets) + 1))
    if any(row["control"] for row in rows):
        legend = ["* a control", *legend]
    if legend:
        show_paragraph("; ".join(legend), "dim")


def _cell(row: Row, signs: Mapping[tuple[str, str], str]) -> str:
    """Mean and half-width, and a place for the sign."""
    return percent(row["mean"], row["half_width"]) + (signs.get((row["arm"], row["budget"])) or " " * bool(signs))


def _heading(row: Row) -> str:
    """A budget, and how many images it comes to where it does not say so."""
    counted = str(row["budget"]).endswith((" image", " images"))
    return str(row["budget"]) if counted else f"{row['budget']} = {row['images']:,}"


def _seeds(rows: Sequence[Row]) -> str:
    fewest, most = min(row["n"] for row in rows), max(row["n"] for row in rows)
    if most == 1:
        return "one seed"
    return f"mean ± 95 % interval over {most if fewest == most else f'{fewest} to {most}'} seeds"


def _parts(widths: Mapping[str, int], room: int) -> list[list[str]]:
    """Columns one after the other, as many in each part as there is room for."""
    parts: list[list[str]] = []
    room_left = 0
    for column, width in widths.items():
        if not parts or width + _GAP > room_left:
            parts.append([])
            room_left = room
        parts[-1].append(column)
        room_left -= width + _GAP
    return parts


def _signs(results: Mapping[str, Any]) -> tuple[dict[tuple[str, str], str], list[str]]:
    """Signs by arm and budget, of those that are better or worse than their control, and what they mean."""
    from limbeck.report.controls import Controls
    from limbeck.report.sentences import deciding, unequal, verdict

    controls, deciding_rows = Controls.of(dict(results)), deciding(dict(results))
    if not deciding_rows:
        return {}, []
    names = {controls.label(row["against"]) for row in deciding_rows.values()}
    against = names.pop() if len(names) == 1 else controls.theirs.replace("their strictest", "the strictest")
    verdicts = {place: verdict(dict(row)) for place, row in deciding_rows.items()}
    if set(verdicts.values()) == {"one seed only"}:
        return {}, ["one seed cannot tell what is beyond seed noise"]
    signs = {place: SIGNS[outcome] for place, outcome in verdicts.items() if outcome in SIGNS}
    if not signs:
        return {}, [f"no arm is beyond seed noise of {against}"]
    words = [f"{SIGNS[outcome]} {outcome}" for outcome in SIGNS if SIGNS[outcome] in signs.values()]
    other = [
        f"{row['arm']} at {row['budget']}{unequal(dict(row))}" for row in deciding_rows.values() if unequal(dict(row))
    ]
    return signs, [f"{' or '.join(words)} than {against} beyond seed noise", *other]


def _show_failed(runs: Sequence[Row]) -> None:
    failed = [row for row in runs if row["state"] not in ("finished", "missing", "dropped")]
    for row in failed[:_MOST_FAILED]:
        where = "" if row["budget"] == "all" else f" at {row['budget']}"
        what = f"{row['arm']}{where}, seed {row['seed']}: {row['state']}"
        line = " ".join(f"{what}: {row['error']}".split() if row["error"] else [what])
        if errors.is_terminal and cell_len(line) > errors.width:
            line = f"{set_cell_size(line, errors.width - 1).rstrip()}…"
        errors.print(line, markup=False, style="red")
    if failed[_MOST_FAILED:]:
        errors.print(f"and {len(failed) - _MOST_FAILED:,} more, see Runs in the report", style="red")
