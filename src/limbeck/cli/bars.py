"""Progress bars at the bottom of the terminal."""

import time
from types import TracebackType

from rich.cells import cell_len, set_cell_size
from rich.console import RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from limbeck.cli.display import console
from limbeck.cli.stages import Board, Run, Stage, time_left
from limbeck.progress import FAILED

_A_SECOND = 5  # times that bars are redrawn
_BAR = 20  # cells
_WIDE = 60  # terminal width in cells from which elapsed time is shown
_ECHO = 3  # cells left free for "^C" on the last line, so that the bars are erased where they are
_LEAST = 28  # cells for the text beside the bars; with fewer, bars are shortened or left out


class Bars:
    """A bar for each stage of the whole, and a line with a bar for each of the runs that go on side by side."""

    def __init__(self) -> None:
        self.board = Board()
        self._longest = 0  # cells of a title so far, so that columns do not jump
        self._live = Live(
            get_renderable=self.draw,
            console=console,
            refresh_per_second=_A_SECOND,
            transient=True,
            vertical_overflow="crop",
        )

    def __enter__(self) -> "Bars":
        self._live.start()
        console.show_cursor(True)  # so that it is there even if this process is killed
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._live.stop()

    def updated(self, run: Run | None) -> None:
        """Drawn with the next refresh."""

    def closed(self, run: Run, outcome: str, *, counted: bool) -> None:
        if outcome and (not counted or outcome.startswith(FAILED)):
            console.print(f"{run.title}: {outcome}", style="red", markup=False)

    def say(self, message: str) -> None:
        console.print(message, markup=False)

    def draw(self) -> RenderableType:
        """All lines, as many as the terminal has room for, each cut to its width."""
        now, stages, runs = time.monotonic(), list(self.board.stages), list(self.board.runs)
        room = max(console.height - 2 - len(stages), 1)
        hidden = len(runs) - room + 1 if len(runs) > room else 0
        shown = runs[: len(runs) - hidden]
        rows = [self._of_stage(stage, depth, now) for depth, stage in enumerate(stages)]
        rows += [_of_run(run, bool(stages)) for run in shown]
        self._longest = max([self._longest, *(cell_len(row.title) for row in rows)])
        width = console.width - (_ECHO if console.width >= _WIDE else 0)
        return _table(rows, f"  … {hidden:,} more" if hidden else "", self._longest, width)

    def _of_stage(self, stage: Stage, depth: int, now: float) -> "_Row":
        seconds = self.board.seconds_left(now) if depth == 0 else stage.seconds_left(now)
        clock = _clock(now - stage.began) if console.width >= _WIDE else ""
        parts = [clock, time_left(seconds), stage.note]
        return _Row("  " * depth + stage.title, stage.share, f"{stage.done:,}/{stage.total:,}", parts)


class _Row:
    """One line: a title, a share that is done or None, the same in digits, and other remarks."""

    def __init__(self, title: str, share: float | None, count: str, parts: list[str]) -> None:
        self.title = " ".join(title.splitlines())
        self.share = share
        self.count = count
        self.rest = " · ".join(part for part in parts if part)


def _of_run(run: Run, indented: bool) -> _Row:
    title = f"{'  ' if indented else ''}{run.title}"
    stages = list(run.stages)
    if not stages:
        return _Row(title, None, "", ["begins"])
    stage = stages[-1]
    what = "" if stage is run.training else stage.title
    return _Row(title, stage.share, f"{stage.share:.0%}", [what, stage.note])


def _table(rows: list[_Row], last: str, longest: int, width: int) -> Table:
    """Columns of fixed widths, so that no line is ever wrapped."""
    count = max((cell_len(row.count) for row in rows), default=0)
    roomy = max(width * 2 // 5, width - count - _LEAST - _BAR - 3)
    title = max(min(longest, roomy, width - count - 2), 1)
    bar = max(min(_BAR, width - title - count - _LEAST - 3), 0)
    bar = bar if bar >= 5 else 0
    rest = max(width - title - count - 2 - (bar + 1 if bar else 0), 0)
    table = Table.grid(padding=(0, 1, 0, 0), pad_edge=False)
    widths = [title, *([bar] if bar else []), count, *([rest] if rest else [])]
    for place in widths:
        table.add_column(width=place, no_wrap=True, overflow="crop")
    for row in rows:
        cells: list[RenderableType] = [Text(shortened(row.title, title))]
        if bar:
            cells.append("" if row.share is None else ProgressBar(total=1.0, completed=row.share, width=bar))
        cells.append(Text(row.count, justify="right"))
        table.add_row(*cells, *([Text(set_cell_size(row.rest, rest).rstrip(), style="dim")] if rest else []))
    if last:
        table.add_row(Text(shortened(last, title), style="dim"))
    return table


def shortened(text: str, cells: int) -> str:
    """Cut in the middle, as runs differ at both ends: the arm is named first, the seed last.

    Example:
        >>> shortened("entropy@300-images, seed 1", 20)
        'entropy@30…s, seed 1'
    """
    if cell_len(text) <= cells:
        return text
    end = max(cells - 1, 0) // 2
    tail = set_cell_size(text[::-1], end)[::-1]
    return f"{set_cell_size(text, max(cells - 1 - end, 0))}…{tail}" if cells > 0 else ""


def _clock(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{second:02d}"
