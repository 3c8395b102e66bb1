"""What the command line shows: progress, tables, errors."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False, soft_wrap=True)

_QUIET_SECONDS = 20.0  # between two lines of progress where there is no terminal


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
    """A line now and then, for logs."""

    def __init__(self) -> None:
        self._tasks: list[tuple[str, int]] = []
        self._spoke = 0.0

    def begin(self, title: str, total: int, done: int = 0) -> None:
        self._tasks.append((title, total))

    def update(self, done: int, note: str = "") -> None:
        now = time.monotonic()
        if now - self._spoke >= _QUIET_SECONDS or len(self._tasks) == 1 and self._tasks[0][0] == "comparison":
            title, total = self._tasks[-1]
            self.say(f"{title} {done:,}/{total:,}  {note}")
            self._spoke = now

    def end(self) -> None:
        self._tasks.pop()

    def say(self, message: str) -> None:
        console.print(message, markup=False, soft_wrap=True)


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


def show_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[int] = ()) -> None:
    """Prints a table; `numbers` are the columns to align right."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for index, name in enumerate(header):
        right = index in numbers
        table.add_column(name, justify="right" if right else "left", no_wrap=right or index == 0, header_style="dim")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def percent(value: float | None, half_width: float | None = None) -> str:
    """A share as "91.73", with its half-width as "91.73 ± 0.40"."""
    if value is None:
        return "–"
    return f"{100 * value:.2f}" + ("" if half_width is None else f" ± {100 * half_width:.2f}")


def show_comparison(results: Mapping[str, Any]) -> None:
    """The table of a comparison, and what its differences say."""
    rows = [
        [
            row["arm"] + ("" if not row["control"] else " (control)"),
            row["budget"],
            f"{row['images']:,}",
            str(row["n"]),
            percent(row["mean"], row["half_width"]),
            percent(row["chosen_mean"], row["chosen_half_width"]),
            f"{row['teacher_passes']:,.0f}",
            f"{row['seconds']:.1f}",
        ]
        for row in results["table"]
    ]
    header = ["arm", "budget", "images", "n", "top-1 %, last", "top-1 %, chosen", "teacher passes", "seconds"]
    show_table(f"{results['name']}: mean ± 95 % interval over n seeds", header, rows, numbers=range(2, 8))
    console.print()
    rows = [
        [
            f"{row['arm']} − {row['against']}",
            row["budget"],
            f"{100 * row['mean']:+.2f}",
            "–" if row["low"] is None else f"{100 * row['low']:+.2f} to {100 * row['high']:+.2f}",
            "beyond seed noise" if row["beyond_noise"] else "within seed noise",
        ]
        for row in results["differences"]
    ]
    header = ["difference", "budget", "points", "95 % interval", "paired over seeds"]
    show_table("differences in top-1 (last step)", header, rows, numbers=(2, 3))
    failed = [row for row in results["runs"] if row["state"] not in ("finished", "missing")]
    for row in failed:
        errors.print(f"{row['arm']} at {row['budget']}, seed {row['seed']}: {row['state']}: {row['error']}", markup=False)


def show_run(result: Any) -> None:
    """The marks of one run."""
    rows = []
    for which, marks in (("last step", result.evaluation), ("validation-chosen", result.evaluation_chosen)):
        if marks is not None:
            agreement = marks.fidelity["agreement"] if marks.fidelity else None
            rows.append([which, *_marks(marks), percent(agreement)])
    header = ["student", "top-1 %", "top-5 %", "NLL", "ECE %", "agrees with teacher %"]
    show_table(f"test accuracy, n = {result.evaluation.n:,}" if result.evaluation else "no test images", header, rows)
    cost = result.cost
    console.print(
        f"{cost['images']:,} images, {cost['teacher_passes']:,} teacher passes, {cost['seconds']:.0f} s, "
        f"{1000 * cost['energy']['kwh']:.2g} Wh ({cost['energy']['kind']})"
    )


def show_evaluation(marks: Any) -> None:
    rows = [[f"{marks.n:,}", *_marks(marks)]]
    show_table("evaluation", ["images", "top-1 %", "top-5 %", "NLL", "ECE %"], rows)
    if marks.fidelity:
        fidelity = marks.fidelity
        console.print(
            f"teacher {percent(fidelity['teacher_top1'])} %, agreement {percent(fidelity['agreement'])} %, "
            f"divergence {fidelity['divergence']:.4f} nats"
        )
    show_table(
        "per class", ["class", "images", "top-1 %"], [[c["class"], str(c["n"]), percent(c["top1"])] for c in marks.per_class]
    )


def _marks(marks: Any) -> list[str]:
    return [percent(marks.top1), percent(marks.top5), f"{marks.nll:.4f}", percent(marks.ece)]
