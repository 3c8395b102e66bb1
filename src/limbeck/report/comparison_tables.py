"""The tables of a comparison: arms, differences, cost and runs."""

from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from limbeck.report import formats, reading, sentences, shared_sections
from limbeck.report.blocks import Block, Cell, Code, Note, Section, Table

Row = dict[str, Any]


def arms_section(results: Row) -> Section | None:
    columns = ("Arm", "Budget", "Images", "n", "Last epoch", "Validation-chosen", "Teacher passes", "Of these known")
    columns += ("Time", "Energy")
    rows = [
        (
            Cell(formats.name(row["arm"]), tone="quiet" if row["control"] else "strong"),
            str(row["budget"]),
            formats.number(row["images"]),
            str(row["n"]),
            formats.spread(row["mean"], row["half_width"]),
            formats.spread(row.get("chosen_mean"), row.get("chosen_half_width")),
            formats.number(row.get("teacher_passes")),
            formats.number(row.get("teacher_passes_saved")),
            formats.duration(row.get("seconds")),
            shared_sections.energy_words({"kwh": row.get("energy_kwh"), "kind": row.get("energy_kind", "")}),
        )
        for row in sorted(results["table"], key=lambda row: (row["images"], row["control"]))
    ]
    caption = "Top-1 accuracy on the test set: mean ± half the 95 % interval over n seeds; costs are means per run"
    table = _lean(Table(caption, columns, rows, numeric=range(2, 10)), results)
    counted = any(row.get("teacher_passes_saved") for row in results["table"])
    if not (counted and reading.without_budgets(results)):  # beside budgets there is no room; the cost has the sum
        table = _without(table, "Of these known")
    return Section("table", "Table", [table]) if rows else None


def differences_section(results: Row) -> Section | None:
    tones = {"better": "good", "worse": "bad"}
    rows = []
    for row in sorted(results["differences"], key=lambda row: (row["arm"], row["images"])):
        found = sentences.verdict(row)
        words = f"{found}, beyond seed noise" if found in tones else found
        rows.append(
            (
                Cell(formats.name(row["arm"]), tone="strong"),
                formats.name(row["against"]),
                str(row["budget"]),
                formats.number(row["images"]),
                str(row["n"]),
                formats.points(row["mean"]),
                sentences.interval(row),
                Cell(words, tone=tones.get(found, "quiet")),
            )
        )
    if not rows:
        return None
    columns = ("Arm", "Against", "Budget", "Images", "n", "Difference", "95 % interval", "Verdict")
    caption = "Differences of last-epoch accuracy in percentage points, paired over n seeds"
    note = (
        "A difference is beyond seed noise when its 95 % interval leaves out zero. Where there is no true difference, "
        f"one interval in twenty does so by chance; this table has {len(rows)}."
    )
    table = _lean(Table(caption, columns, rows, numeric=range(3, 7)), results)
    return Section("differences", "Differences", [table, Note(note)])


def cost_section(results: Row) -> Section | None:
    costs = [run["cost"] for run in results["runs"] if run.get("cost")]
    teacher, student = results.get("teacher") or {}, results.get("student") or {}
    blocks: list[Block] = []
    if costs:
        seconds = sum(cost.get("seconds") or 0 for cost in costs)
        passes = sum(cost.get("teacher_passes") or 0 for cost in costs)
        saved = sum(cost.get("teacher_passes_saved") or 0 for cost in costs)
        read = f" ({formats.number(saved)} of them read from the view cache)" if saved else ""
        energies = [cost["energy"] for cost in costs if cost.get("energy")]
        total = formats.energy(sum(energy.get("kwh") or 0 for energy in energies)) if energies else "unknown energy"
        how = sorted({f"{energy.get('kind', '')}: {energy.get('how', '')}" for energy in energies})
        blocks.append(
            Note(
                f"All {formats.plural(len(costs), 'run')} together took {formats.duration(seconds)}, "
                f"{formats.number(passes)} teacher passes{read} and {total}" + (f" ({'; '.join(how)})." if how else ".")
            )
        )
    names = {
        f"teacher {teacher.get('name', '')}".strip(): teacher.get("footprint"),
        f"student {student.get('name', '')}".strip(): student.get("footprint"),
    }
    table = shared_sections.footprint_table(names)
    return Section("cost", "Cost", [*blocks, *([table] if table else [])]) if blocks or table else None


def runs_section(folder: Path, results: Row) -> Section | None:
    """All runs with a way to each report; what went wrong stands first."""
    blocks: list[Block] = [
        Code(
            f"{formats.name(run['arm'])}{formats.at(run['budget'])}, seed {run['seed']}: {run['state']}",
            str(run["error"]),
            open=True,
        )
        for run in results["runs"]
        if run["state"] != "finished" and run.get("error")
    ]
    rows = [
        (
            Cell(formats.name(run["arm"]), tone="quiet" if run["control"] else "strong"),
            str(run["budget"]),
            str(run["seed"]),
            Cell(run["state"], _link(folder, run), "" if run["state"] == "finished" else "bad"),
            formats.percent(run.get("last"), 2),
            formats.percent(run.get("chosen"), 2),
            formats.duration((run.get("cost") or {}).get("seconds")),
        )
        for run in sorted(results["runs"], key=lambda run: (run["images"], run["control"], run["arm"], run["seed"]))
    ]
    columns = ("Arm", "Budget", "Seed", "State", "Last epoch", "Validation-chosen", "Time")
    table = _lean(Table(f"All {len(rows)} runs", columns, rows, numeric=range(4, 7), folded=len(rows) > 12), results)
    return Section("runs", "Runs", [*blocks, table]) if rows else None


def _lean(table: Table, results: Row) -> Table:
    """Less the columns that say the same of every arm where there are no budgets."""
    return _without(table, "Budget", "Images") if reading.without_budgets(results) else table


def _without(table: Table, *names: str) -> Table:
    """Less the columns of these names."""
    kept = [place for place, column in enumerate(table.columns) if column not in names]
    numeric = range(*(sum(place < end for place in kept) for end in (table.numeric.start, table.numeric.stop)))
    rows = [[row[place] for place in kept] for row in table.rows]
    return replace(table, columns=[table.columns[place] for place in kept], rows=rows, numeric=numeric)


def _link(folder: Path, run: Row) -> str:
    report = f"{run.get('folder')}/report.html"
    return quote(report) if run.get("folder") and (folder / report).is_file() else ""
