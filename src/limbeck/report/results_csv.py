"""The results of comparisons as tidy tables: one row per run, and one per arm and budget."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limbeck.cost import RunCost
from limbeck.files import atomic_write_text
from limbeck.report import formats
from limbeck.report.controls import arm_order
from limbeck.report.reading import with_images
from limbeck.report.sentences import deciding, verdict

Row = dict[str, Any]
RUNS, SUMMARY = "results.csv", "summary.csv"


@dataclass(frozen=True)
class Comparison:
    """The results of one comparison, of which several may share a table.

    Attributes:
        name: what tells it from the others.
        folder: of its runs.
        results: the content of results.json.
    """

    name: str
    folder: Path
    results: Row


def write_csv(comparisons: Sequence[Comparison], folder: Path) -> None:
    """Write results.csv, a row per run, and summary.csv, a row per arm and budget; docs/reports.md has their columns.

    Rows stand in the order of the comparisons and of the arms in their recipes, controls last, from few images to many,
    and by seed; shares are in 0..1, an empty cell is a number that is not known.

    Example:
        >>> from limbeck.report.reading import results
        >>> write_csv([Comparison("quick", Path("runs/quick"), results(Path("runs/quick")))], Path("runs/quick"))
    """
    runs = [row for comparison in comparisons for row in _runs(comparison)]
    arms = [row for comparison in comparisons for row in _arms(comparison)]
    atomic_write_text(folder / RUNS, _csv(RUN_COLUMNS, runs))
    atomic_write_text(folder / SUMMARY, _csv(SUMMARY_COLUMNS, arms))


def _runs(comparison: Comparison) -> list[Row]:
    order, runs = arm_order(comparison.results), comparison.results["runs"]
    budgets = list(dict.fromkeys(run["budget"] for run in runs))  # as planned, from few to many
    runs = sorted(with_images(runs), key=lambda run: (order[run["arm"]], budgets.index(run["budget"]), run["seed"]))
    return [
        {
            "comparison": comparison.name,
            **run,
            "images": run["images"] or None,
            "known": RunCost.from_dict(run.get("cost")),
        }
        for run in runs
    ]


def _arms(comparison: Comparison) -> list[Row]:
    order, differences = arm_order(comparison.results), deciding(comparison.results)
    rows = sorted(comparison.results["table"], key=lambda row: (order[row["arm"]], row["images"]))
    return [
        {
            "comparison": comparison.name,
            **row,
            "known": RunCost.from_dict(row),
            "difference": differences.get((row["arm"], row["budget"]), {}),
        }
        for row in rows
    ]


def _key(name: str) -> Callable[[Row], Any]:
    return lambda row: row.get(name)


def _total(name: str) -> Callable[[Row], Any]:
    return lambda row: getattr(row["known"].total, name) if row["known"].known else None


def _making(name: str) -> Callable[[Row], Any]:
    return lambda row: None if row["known"].making is None else getattr(row["known"].making, name)


def _energy_kind(row: Row) -> str | None:
    if not row["known"].known or not row["known"].total.kwh:
        return None
    return "measured" if row["known"].total.measured else "estimated"


def _difference(name: str) -> Callable[[Row], Any]:
    return lambda row: row["difference"].get(name)


_WHERE = {name: _key(name) for name in ("comparison", "arm", "control", "repeats", "budget", "images")}
_COSTS = {
    "real_images": lambda row: row["known"].real_images,
    "images_read": _total("images_read"),
    "teacher_passes": _total("teacher_passes"),
    "teacher_passes_saved": _total("passes_saved"),
    "seconds": _total("seconds"),
    "making_seconds": _making("seconds"),
    "energy_kwh": _total("kwh"),
    "energy_kind": _energy_kind,
}
RUN_COLUMNS: Mapping[str, Callable[[Row], Any]] = {
    **_WHERE,
    "seed": _key("seed"),
    "state": _key("state"),
    "top1": _key("last"),
    "top1_chosen": _key("chosen"),
    "steps": lambda row: row["known"].teaching.steps if row["known"].known else None,
    "making_steps": _making("steps"),
    **_COSTS,
    "folder": _key("folder"),
}
SUMMARY_COLUMNS: Mapping[str, Callable[[Row], Any]] = {
    **_WHERE,
    "n": _key("n"),
    "top1": _key("mean"),
    "top1_low": lambda row: _end(row, -1),
    "top1_high": lambda row: _end(row, 1),
    "top1_std": _key("std"),
    "top1_chosen": _key("chosen_mean"),
    **_COSTS,
    "against": _difference("against"),
    "pairs": _difference("n"),
    "difference": _difference("mean"),
    "difference_low": _difference("low"),
    "difference_high": _difference("high"),
    "p": _difference("p"),
    "tests": _difference("tests"),
    "p_adjusted": _difference("p_adjusted"),
    "verdict": lambda row: verdict(row["difference"]) if row["difference"] else None,
}


def _end(row: Row, sign: int) -> float | None:
    """An end of the 95 % interval of the mean."""
    return row["mean"] + sign * row["half_width"] if formats.is_number(row["half_width"]) else None


def _csv(columns: Mapping[str, Callable[[Row], Any]], rows: Iterable[Row]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(value(row)) for value in columns.values()] for row in rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    """Empty for numbers that are not finite, as of a run that diverged."""
    return "" if isinstance(value, float) and not formats.is_number(value) else value
