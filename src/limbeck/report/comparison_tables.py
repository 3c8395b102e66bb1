"""The tables of a comparison: arms, differences, cost and runs."""

from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from limbeck.cost import RunCost
from limbeck.report import cost_tables, enough, formats, reading, sentences, shared_sections
from limbeck.report.against import against_table
from limbeck.report.blocks import Block, Cell, Code, Note, Section, Table
from limbeck.report.controls import Controls, arm_order
from limbeck.report.figures import frontier
from limbeck.report.passes import passes_table

Row = dict[str, Any]
INTERVALS = (
    "Over n seeds the mean is shown with its 95 % interval from Student's t with n - 1 degrees of freedom; with one "
    "seed there is no interval. Differences are paired: each seed of an arm with the same seed of the control. "
    "Accuracies are counted in whole test images, N of them, so that the standard deviation over seeds counts as at "
    "least 1 / (N √12), and as at least 1 / (N √6) of differences: seeds that tie do not show that there is no noise."
)
_REAL_IMAGES = (
    "Real images are those of the task that had to be at hand, beside those that the teacher learned from: of images "
    "drawn at random these alone, of those chosen by their looks all that were looked at, of those that were optimised "
    "all that the experts learned from, and none of borrowed, procedural and generated ones."
)
_TONES = {"finished": "", "dropped": "quiet"}


def arms_section(results: Row) -> Section | None:
    columns = ("Arm", "Budget", "Images", "Real images", "n", "Last step", "Validation-chosen")
    controls, order = Controls.of(results), arm_order(results)
    rows = [
        (
            Cell(
                controls.label(row["arm"]),
                tone="quiet" if row["control"] else "strong",
                note=f"repeats {controls.label(row['repeats'])}" if row.get("repeats") else "",
            ),
            str(row["budget"]),
            formats.number(row["images"]),
            formats.number(row.get("real_images")),
            str(row["n"]),
            formats.spread(row["mean"], row["half_width"]),
            formats.spread(row.get("chosen_mean"), row.get("chosen_half_width")),
            *cost_tables.totals(RunCost.from_dict(row)),
        )
        for row in sorted(results["table"], key=lambda row: (row["images"], order[row["arm"]]))
    ]
    energies = [cost for row in results["table"] if (cost := RunCost.from_dict(row).total).kwh]
    how = f", energy {formats.listing(sorted(set(map(cost_tables.known_by, energies))))}" if energies else ""
    caption = (
        "Top-1 accuracy on the test set: mean ± half the 95 % interval over n seeds; costs are means per run" + how
    )
    table = Table(caption, (*columns, "Teacher passes", "Time", "Energy"), rows, numeric=range(2, 10))
    blocks: list[Block] = [_lean(table, results), Note(_REAL_IMAGES)]
    if not frontier.has_cost(results, "real_images"):
        blocks = [_without(_lean(table, results), "Real images")]
    return Section("table", "Table", blocks) if rows else None


def differences_section(results: Row) -> Section | None:
    tones, controls, order = {"better": "good", "worse": "bad"}, Controls.of(results), arm_order(results)
    rows = []
    for row in sorted(results["differences"], key=lambda row: (order[row["arm"]], row["images"])):
        outcome = sentences.verdict(row)
        words = f"{outcome}, beyond seed noise" if outcome in tones else outcome
        seeds = enough.would_tell(row.get("seeds_needed"), row["n"])
        note = "; ".join(filter(None, (sentences.unequal(row).removeprefix(", "), seeds)))
        rows.append(
            (
                Cell(row["arm"], tone="strong"),
                controls.label(row["against"]),
                str(row["budget"]),
                formats.number(row["images"]),
                str(row["n"]),
                formats.points(row["mean"]),
                sentences.interval(row),
                formats.p_value(row.get("p_adjusted")),
                Cell(words, tone=tones.get(outcome, "quiet"), note=note),
            )
        )
    if not rows:
        return None
    columns = ("Arm", "Against", "Budget", "Images", "n", "Difference", "95 % interval", "p", "Verdict")
    caption = "Differences of accuracy after the last step in percentage points, paired over n seeds"
    table = _lean(Table(caption, columns, rows, numeric=range(3, 8)), results)
    if not any("p_adjusted" in row for row in results["differences"]):  # results of earlier versions
        table = _without(table, "p")
    blocks = [table, Note(_beyond_noise(results["differences"]))]
    return Section("differences", "Differences", [*against_table(results), *blocks, *passes_table(results)])


def _beyond_noise(rows: list[Row]) -> str:
    """How the verdicts in a table of differences are decided."""
    by_chance = (
        "Where there is no true difference, one interval in twenty leaves out zero by chance; this table has "
        f"{len(rows)}."
    )
    tests = sorted({row["tests"] for row in rows if row.get("tests", 1) > 1})
    if not tests:
        return f"A difference is beyond seed noise when its 95 % interval leaves out zero. {by_chance}"
    arms = f"{tests[0]} arms are" if len(tests) == 1 else f"{tests[0]} to {tests[-1]} arms are"
    return (
        f"{by_chance} As {arms} set against the same control at the same budget, a difference is beyond seed noise "
        "when p of the paired t test is below 0.05 after Holm's correction for all of these arms, as it is shown; the "
        "intervals are those of each difference by itself, and nothing is corrected for several budgets or controls."
    )


def cost_section(results: Row) -> Section | None:
    """Cost of all runs together, then of making, teaching and the teacher by arm and budget, then size and speed."""
    runs = [run for run in reading.compared_runs(results) if not run.get("repeats")]
    costs = [cost for run in runs if (cost := RunCost.from_dict(run.get("cost"))).known]
    teacher, student = results.get("teacher") or {}, results.get("student") or {}
    names = {
        f"teacher {teacher.get('name', '')}".strip(): teacher.get("footprint"),
        f"student {student.get('name', '')}".strip(): student.get("footprint"),
    }
    blocks: list[Block] = []
    if costs:
        how = sorted({str(energy["how"]) for run in results["runs"] if (energy := _energy(run)).get("how")})
        blocks += [Note(cost_tables.together(costs, how)), _lean(_by_arm(results), results)]
    table = shared_sections.footprint_table(names)
    return Section("cost", "Cost", [*blocks, *([table] if table else [])]) if blocks or table else None


def _energy(run: Row) -> Row:
    return (run.get("cost") or {}).get("energy") or {}


def _by_arm(results: Row) -> Table:
    """A row for making, teaching and, where it was made here, the teacher, of every arm and budget; means per run."""
    controls, rows = Controls.of(results), []
    order = arm_order(results)
    compared = reading.compared_runs(results)
    arms = dict.fromkeys((run["arm"], str(run["budget"])) for run in compared)
    for arm, budget in sorted(arms, key=lambda pair: order[pair[0]]):
        runs = [run for run in compared if (run["arm"], str(run["budget"])) == (arm, budget)]
        costs = [cost for run in runs if (cost := RunCost.from_dict(run.get("cost"))).known]
        who = Cell(controls.label(arm), tone="quiet" if runs[0]["control"] else "strong")
        rows += [(who, budget, *cells) for cells in cost_tables.parts(costs)]
    teacher = next(
        (cost.teacher for run in results["runs"] if (cost := RunCost.from_dict(run.get("cost"))).teacher), None
    )
    if teacher is not None:
        rows.append((Cell("the teacher itself", tone="quiet"), "", "training", *cost_tables.cells([teacher])))
    columns = ("Arm", "Budget", "What", *cost_tables.COLUMNS)
    caption = "What making a transfer set and teaching on it took; means per run"
    return Table(caption, columns, rows, numeric=range(3, 9), folded=len(rows) > 40)


def runs_section(folder: Path, results: Row) -> Section | None:
    """All runs with a link to each report; errors come first."""
    controls, order = Controls.of(results), arm_order(results)
    blocks: list[Block] = [
        Code(
            f"{controls.label(run['arm'])}{formats.at(run['budget'])}, seed {run['seed']}: {run['state']}",
            str(run["error"]),
            open=True,
        )
        for run in results["runs"]
        if run["state"] != "finished" and run.get("error")
    ]
    rows = [
        (
            Cell(controls.label(run["arm"]), tone="quiet" if run["control"] else "strong"),
            str(run["budget"]),
            str(run["seed"]),
            Cell(run["state"], _link(folder, run), _TONES.get(run["state"], "bad")),
            formats.percent(run.get("last"), 2),
            formats.percent(run.get("chosen"), 2),
            cost_tables.totals(RunCost.from_dict(run.get("cost")))[1],
        )
        for run in sorted(results["runs"], key=lambda run: (run["images"], order[run["arm"]], run["seed"]))
    ]
    columns = ("Arm", "Budget", "Seed", "State", "Last step", "Validation-chosen", "Time")
    table = _lean(Table(f"All {len(rows)} runs", columns, rows, numeric=range(4, 7), folded=len(rows) > 12), results)
    return Section("runs", "Runs", [*blocks, table]) if rows else None


def _lean(table: Table, results: Row) -> Table:
    """`table` without the columns that say the same of every arm if there are no budgets."""
    return _without(table, "Budget", "Images") if reading.without_budgets(results) else table


def _without(table: Table, *names: str) -> Table:
    """`table` without the columns of these names."""
    kept = [place for place, column in enumerate(table.columns) if column not in names]
    numeric = [new for new, place in enumerate(kept) if place in table.numeric]
    rows = [[row[place] for place in kept] for row in table.rows]
    return replace(table, columns=[table.columns[place] for place in kept], rows=rows, numeric=numeric)


def _link(folder: Path, run: Row) -> str:
    report = f"{run.get('folder')}/report.html"
    return quote(report) if run.get("folder") and (folder / report).is_file() else ""
