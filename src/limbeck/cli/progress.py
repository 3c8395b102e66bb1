"""Progress of long work on a terminal or in a log."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Protocol

from limbeck.cli.bars import Bars
from limbeck.cli.display import bars_on, console
from limbeck.cli.stages import Board, Run, Stage, time_left
from limbeck.progress import FAILED, TRAINING

_QUIET_SECONDS = 20.0  # between lines of a log, at least; in long ones this share of the time so far
_QUIET_SHARE = 0.01


class Display(Protocol):
    """Interface of what displays the board."""

    board: Board

    def updated(self, run: Run | None) -> None:
        """The innermost stage of a run, or of the whole, advanced."""
        ...

    def closed(self, run: Run, outcome: str, *, counted: bool) -> None:
        """A run ended; it is `counted` as done or not, as one whose worker died."""
        ...

    def say(self, message: str) -> None: ...


class Watch:
    """The `Progress` of a whole command, or of one of several runs side by side.

    What several such runs say is shown once.
    """

    def __init__(self, display: Display, run: Run | None = None, said: set[str] | None = None) -> None:
        self._display = display
        self._run = run
        self._said = set() if said is None else said
        self._stages = display.board.stages if run is None else run.stages

    def begin(self, title: str, total: int, done: int = 0) -> None:
        self.tell_closed()
        self._stages.append(Stage(title, total, done, done, time.monotonic()))
        if self._run is not None and title == TRAINING:
            self._run.first = self._stages[-1].share if done else 0.0

    def update(self, done: int, note: str = "") -> None:
        stage = self._stages[-1]
        counted = self._run is None and len(self._stages) == 1 and done > stage.done
        stage.done, stage.note = done, note
        self.tell_closed(counted=counted)
        self._display.updated(self._run)

    def end(self) -> None:
        self.tell_closed()
        self._stages.pop()

    def say(self, message: str) -> None:
        self.tell_closed()
        if self._run is None or message not in self._said:
            self._display.say(message)
        self._said.add(message)

    def beside(self, title: str) -> "Watch":
        self.tell_closed()
        run = Run(title, time.monotonic())
        self._display.board.runs.append(run)
        return Watch(self._display, run, self._said)

    def close(self, outcome: str = "") -> None:
        self.tell_closed()
        board = self._display.board
        if self._run in board.runs:
            board.runs.remove(self._run)
            board.closed = self._run, outcome

    def tell_closed(self, *, counted: bool = False) -> None:
        """Tells the display of a run that was just closed; `counted` if the count of the whole went up right after."""
        board = self._display.board
        if board.closed is not None:
            (run, outcome), board.closed = board.closed, None
            if counted:
                board.unpaced += 1.0 if outcome.startswith(FAILED) else run.first
            self._display.closed(run, outcome, counted=counted)


class Lines:
    """A line for each run that ends, and one now and then, with the time of day, for logs."""

    def __init__(self) -> None:
        self.board = Board()
        self._began = self._spoke = time.monotonic()

    def updated(self, run: Run | None) -> None:
        now = time.monotonic()
        if now - self._spoke < max(_QUIET_SECONDS, _QUIET_SHARE * (now - self._began)):
            return
        stage = self.board.stages[-1] if run is None else run.stages[-1]
        if self.board.runs and stage is self.board.stages[0]:
            return  # counts the runs that end, each of which has a line of its own
        words = f"{stage.title} {stage.done:,}/{stage.total:,}"
        if run is None:
            self.say(_joined(words, stage.note, time_left(stage.seconds_left(now))))
        else:
            self.say(f"{self._count()}{run.title}: {_joined(words, stage.note, self._left(now))}")

    def closed(self, run: Run, outcome: str, *, counted: bool) -> None:
        words = ": ".join(part for part in (run.title, outcome) if part)
        self.say(self._count() + _joined(words, self._left(time.monotonic())) if counted else words)

    def say(self, message: str) -> None:
        console.print(f"{datetime.now():%H:%M:%S}  {message}", markup=False, soft_wrap=True)
        self._spoke = time.monotonic()

    def _count(self) -> str:
        """How many runs of the whole are done, as " 7/42  "."""
        if not self.board.stages:
            return ""
        whole = self.board.stages[0]
        return f"{whole.done:>{len(f'{whole.total:,}')},}/{whole.total:,}  "

    def _left(self, now: float) -> str:
        return time_left(self.board.seconds_left(now))


class Quiet:
    """Shows nothing."""

    def __init__(self) -> None:
        self.board = Board()

    def updated(self, run: Run | None) -> None:
        pass

    def closed(self, run: Run, outcome: str, *, counted: bool) -> None:
        pass

    def say(self, message: str) -> None:
        pass


def _joined(*parts: str) -> str:
    return " · ".join(part for part in parts if part)


@contextmanager
def showing_progress() -> Iterator[Watch]:
    """Bars on a terminal that can move its cursor, lines elsewhere; of processes that share a run, the first alone."""
    if os.environ.get("RANK", "0") not in ("", "0"):
        yield from _watching(Quiet())
        return
    if console.is_dumb_terminal or not (console.is_terminal and console.file.isatty()):
        yield from _watching(Lines())
        return
    with Bars() as bars, bars_on():
        yield from _watching(bars)


def _watching(display: Display) -> Iterator[Watch]:
    watch = Watch(display)
    try:
        yield watch
    finally:
        watch.tell_closed()
