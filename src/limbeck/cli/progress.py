"""Who watches long work from a terminal, or reads its log."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars

from limbeck.cli.display import console
from limbeck.progress import Progress

_QUIET_SECONDS = 20.0  # between two lines of progress where there is no terminal


class BarProgress:
    """Nested bars with rate and time left, for terminals."""

    def __init__(self, bars: Bars) -> None:
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

    def beside(self, title: str) -> Progress:
        return _Beside(self, title)

    def close(self, outcome: str = "") -> None:
        pass


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

    def beside(self, title: str) -> Progress:
        return _Beside(self, title)

    def close(self, outcome: str = "") -> None:
        pass


class _Beside:
    """One of several that go on side by side."""

    def __init__(self, whole: "BarProgress | LineProgress", title: str) -> None:
        self._whole = whole
        self._title = title

    def begin(self, title: str, total: int, done: int = 0) -> None:
        self._whole.begin(title, total, done)

    def update(self, done: int, note: str = "") -> None:
        self._whole.update(done, note)

    def end(self) -> None:
        self._whole.end()

    def say(self, message: str) -> None:
        self._whole.say(message)

    def beside(self, title: str) -> Progress:
        return _Beside(self._whole, title)

    def close(self, outcome: str = "") -> None:
        self._whole.say(f"{self._title}: {outcome}")


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
    with Bars(*columns, console=console, transient=True) as bars:
        yield BarProgress(bars)
