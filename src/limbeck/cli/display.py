"""What the command line shows: progress, tables, errors."""

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False, soft_wrap=True)

_show_for_programmers = warnings.showwarning
_QUIET_SECONDS = 20.0  # between two lines of progress where there is no terminal


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """What is meant for the user as one message, without the line of code that it came from."""
    if file is None and category is UserWarning:
        errors.print(f"warning: {message}", style="yellow", markup=False)
    else:
        _show_for_programmers(message, category, filename, lineno, file, line)


class BarProgress:
    """Nested bars with rate and time left, for terminals."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: list[TaskID] = []

    def begin(self, title: str, total: int, done: int = 0) -> None:
        self._tasks.append(self._bars.add_task(title, total=total, completed=done, note=""))

    def update(self, done: int, note: str = "") -> None:
        self._bars.update(self._tasks[-1], completed=done, note=note)

    def end(self) -> None:
        self._bars.remove_task(self._tasks.pop())

    def say(self, message: str) -> None:
        self._bars.console.print(message, markup=False)


class LineProgress:
    """A line now and then, with the time of day, for logs."""

    def __init__(self) -> None:
        self._tasks: list[_Task] = []
        self._spoke = 0.0

    def begin(self, title: str, total: int, done: int = 0) -> None:
        self._tasks.append(_Task(title, total, done, time.monotonic()))

    def update(self, done: int, note: str = "") -> None:
        # The outermost task moves seldom; those inside it would fill the log.
        now = time.monotonic()
        if (len(self._tasks) == 1 and self._tasks[0].title == "comparison") or now - self._spoke >= _QUIET_SECONDS:
            task = self._tasks[-1]
            parts = [f"{task.title} {done:,}/{task.total:,}", note, task.left(done, now)]
            self.say("  ".join(part for part in parts if part))
            self._spoke = now

    def end(self) -> None:
        self._tasks.pop()

    def say(self, message: str) -> None:
        console.print(f"{datetime.now():%H:%M:%S}  {message}", markup=False, soft_wrap=True)


@dataclass(frozen=True)
class _Task:
    title: str
    total: int
    first: int
    began: float

    def left(self, done: int, now: float) -> str:
        """Time left at the pace so far, in words."""
        if done <= self.first or done >= self.total:
            return ""
        minutes = (now - self.began) / (done - self.first) * (self.total - done) / 60
        if minutes < 1:
            return ""
        return f"about {minutes / 60:.1f} h left" if minutes >= 90 else f"about {minutes:.0f} min left"


@contextmanager
def showing_progress() -> Iterator[BarProgress | LineProgress]:
    """Bars on a terminal, lines elsewhere."""
    if not console.is_terminal:
        yield LineProgress()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        yield BarProgress(bars)


def show_table(
    title: str, header: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[int] = ()
) -> None:
    """Prints a table; `numbers` are the columns to align right. A row with one cell is a heading of those below."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    longest = max((len(row[0]) for row in rows), default=0)
    for index, name in enumerate(header):
        right = index in numbers
        table.add_column(
            name,
            justify="right" if right else "left",
            no_wrap=right,
            overflow="fold",
            min_width=min(longest, 24) if index == 0 else None,
            header_style="dim",
        )
    for row in rows:
        table.add_row(*map(Text, row), style="bold" if len(row) == 1 < len(header) else None)
    console.print(table)


def percent(value: float | None, half_width: float | None = None) -> str:
    """A share as "91.73", with its half-width as "91.73 ± 0.40"."""
    if value is None:
        return "–"
    return f"{100 * value:.2f}" + ("" if half_width is None else f" ± {100 * half_width:.2f}")


def show_comparison(results: Mapping[str, Any]) -> None:
    """The table of a comparison, and what its differences say."""
    rows = _under_budgets(
        results["table"],
        lambda row: [
            f"{row['arm']}{' *' if row['control'] else ''}",
            f"{row['images']:,}",
            str(row["n"]),
            percent(row["mean"], row["half_width"]),
            percent(row["chosen_mean"], row["chosen_half_width"]),
            short_count(row["teacher_passes"]),
            f"{row['seconds']:.{0 if row['seconds'] >= 100 else 1}f}",
        ],
    )
    header = ["arm", "images", "n", "last\nstep", "validation-\nchosen", "teacher\npasses", "seconds"]
    title = f"{results['name']}: top-1 in %, mean ± 95 % interval over n seeds"
    show_table(title, header, rows, numbers=range(1, 7))
    if any(row["control"] for row in results["table"]):
        console.print("* a control that every comparison has", style="dim")
    if results["differences"]:
        console.print()
        show_table(
            "differences in top-1 after the last step, in points, paired over seeds",
            [
                "arm − baseline or control" if results.get("baseline") else "arm − control",
                "mean",
                "95 % interval",
                "beyond seed noise?",
            ],
            _under_budgets(results["differences"], _difference),
            numbers=(1, 2),
        )
    for row in results["runs"]:
        if row["state"] not in ("finished", "missing"):
            where = "" if row["budget"] == "all" else f" at {row['budget']}"
            what = f"{row['arm']}{where}, seed {row['seed']}: {row['state']}"
            errors.print(what + (f": {row['error']}" if row["error"] else ""), markup=False, style="red")


def _under_budgets(rows: Sequence[Mapping[str, Any]], cells: Callable[[Any], list[str]]) -> list[list[str]]:
    """Rows of cells below a heading for each budget."""
    shown = []
    for budget, same in groupby(rows, key=lambda row: row["budget"]):
        shown.append([f"{budget} images" if budget == "all" else budget])
        for row in same:
            first, *others = cells(row)
            shown.append([f"  {first}", *others])
    return shown


def _difference(row: Mapping[str, Any]) -> list[str]:
    interval = "–" if row["low"] is None else f"{100 * row['low']:+.2f} to {100 * row['high']:+.2f}"
    verdict = "one seed cannot tell" if row["low"] is None else "yes" if row["beyond_noise"] else "no"
    return [f"{row['arm']} − {row['against']}", f"{100 * row['mean']:+.2f}", interval, verdict]


def short_count(value: float) -> str:
    """A count in at most seven characters: "64,000", "2.3 M"."""
    return f"{value:,.0f}" if value < 1e6 else f"{value / 1e6:,.1f} M"


def show_run(result: Any) -> None:
    """The marks of one run."""
    rows = []
    for which, marks in (("last step", result.evaluation), ("validation-chosen", result.evaluation_chosen)):
        if marks is not None:
            agreement = marks.fidelity["agreement"] if marks.fidelity else None
            rows.append([which, *_marks(marks), percent(agreement)])
    header = ["student", "top-1 %", "top-5 %", "NLL", "ECE %", "agrees with\nteacher %"]
    if rows:
        show_table(f"on the {result.evaluation.n:,} test images", header, rows, numbers=range(1, 6))
    else:
        console.print("no test images (`data.test`) to judge the student on")
    cost = result.cost
    console.print(
        f"{cost['images']:,} images, {cost['teacher_passes']:,} teacher passes{_known(cost)}, {cost['seconds']:.0f} s, "
        f"{1000 * cost['energy']['kwh']:.2g} Wh ({cost['energy']['kind']})"
    )


def _known(cost: Mapping[str, Any]) -> str:
    saved = cost.get("teacher_passes_saved")
    return f" ({saved:,} of them from the view cache)" if saved else ""


def show_evaluation(marks: Any) -> None:
    rows = [[f"{marks.n:,}", *_marks(marks)]]
    show_table("evaluation", ["images", "top-1 %", "top-5 %", "NLL", "ECE %"], rows, numbers=range(5))
    if marks.fidelity:
        fidelity = marks.fidelity
        console.print(
            f"teacher {percent(fidelity['teacher_top1'])} %, agreement {percent(fidelity['agreement'])} %, "
            f"divergence {fidelity['divergence']:.4f} nats"
        )
    show_table(
        "per class",
        ["class", "images", "top-1 %"],
        [[c["class"], str(c["n"]), percent(c["top1"])] for c in marks.per_class],
        numbers=(1, 2),
    )


def show_probes(rows: Sequence[Mapping[str, Any]]) -> None:
    """What heads on frozen networks reached, data set by data set."""
    from limbeck.evaluation.statistics import mean_interval

    for data, group in groupby(rows, key=lambda row: row["on"]):
        same = list(group)
        shown = [
            [
                row["name"],
                percent(*mean_interval(row["top1"])),
                percent(*mean_interval(row["top5"])) if row["top5"] else "–",
                ", ".join(dict.fromkeys(f"{one:.1e}" for one in row["strengths"])) or "–",
                f"{sum(row['seconds'].values()):.1f}",
            ]
            for row in same
        ]
        height, width = same[0]["size"]
        title = f"{data}: {same[0]['images']:,} training, {same[0]['n']:,} test images of {height}x{width} pixels"
        header = ["frozen network", "top-1 %", "top-5 %", "strength", "s"]
        show_table(title, header, shown, numbers=(1, 2, 4))


def _marks(marks: Any) -> list[str]:
    return [percent(marks.top1), percent(marks.top5), f"{marks.nll:.4f}", percent(marks.ece)]
