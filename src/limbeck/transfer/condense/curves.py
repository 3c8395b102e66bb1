"""Iterations as curves and a table: matching loss, what was skipped, learned rate, accuracy, memory and time."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from limbeck.transfer.condense.frames import Frame
from limbeck.transfer.condense.history import History
from limbeck.transfer.evidence_figures import EvidenceFigure, LineFigure, Points, TableFigure, Value

MOST_POINTS = 160  # of a curve
MOST_ROWS = 25  # of the table
GIB = 2**30
_X = "iteration"
_KNOWN = ("loss", "skipped", "start", "rate", "seconds", "memory", "expert")
"""Columns with a title of their own here, and `expert`, a number whose mean says nothing."""


def iteration_figures(
    history: History, frames: Sequence[Frame] = (), *, by: str = "trajectories"
) -> list[EvidenceFigure]:
    """Curves of every column, each point the mean of neighbouring iterations, and a table of the same.

    Args:
        history: of the iterations.
        frames: some of them may have been judged.
        by: how images are learned, see `CondenseSettings`.
    """
    learned = by == "trajectories"
    figures = [
        _curve(history, "Matching loss", "loss", note=_LOSS) if learned else _curve(history, "Loss", "loss"),
        _curve(history, SKIPPED, "skipped", share=True, note=_SKIPPED),
        _accuracy_curve(frames),
        _curve(history, LEARNED, "rate", note=_RATE) if learned else _curve(history, OF_PIXELS, "rate"),
        _curve(history, "Start epoch", "start", mean=max, note=_START),
        _curve(history, "Seconds an iteration", "seconds"),
        _curve(history, MEMORY, "memory", mean=_gibibytes, note=_MEMORY),
        *(_curve(history, _title(name), name) for name in history.names if name not in _KNOWN),
    ]
    curves: list[EvidenceFigure] = [figure for figure in figures if _tells(figure)]
    return [*curves, *([iteration_table(history, by=by)] if len(history) else [])]


def iteration_table(history: History, *, by: str = "trajectories") -> TableFigure:
    """A table with one row per run of neighbouring iterations; see `iteration_figures`."""
    windows = _windows(len(history), MOST_ROWS)
    columns: dict[str, list[Value]] = {"Iterations": [_ends(window) for window in windows]}
    kinds: dict[str, tuple[str, Callable[[Sequence[float]], float]]] = {
        "Loss": ("loss", _mean),
        "Skipped": ("skipped", _mean),
        "Latest start epoch": ("start", max),
        LEARNED if by == "trajectories" else OF_PIXELS: ("rate", _last),
        "Seconds each": ("seconds", _mean),
        MEMORY: ("memory", _gibibytes),
        **{_title(name): (name, _mean) for name in history.names if name not in _KNOWN},
    }
    for title, (name, mean) in kinds.items():
        values = history.column(name)
        means = [_of(mean, values[window.start : window.stop]) for window in windows]
        if any(math.isfinite(value) for value in means):
            columns[title] = [value if math.isfinite(value) else None for value in means]
    single = len(windows) == len(history)
    return TableFigure(
        title="Every iteration" if single else f"{len(history):,} iterations",
        columns=list(columns),
        rows=[list(row) for row in zip(*columns.values(), strict=True)],
        percent=[name for name in ("Skipped",) if name in columns],
        note="" if single else "Means of the iterations of a row; of epochs and memory the largest, of rates the last.",
        beside="alone",
    )


def _curve(
    history: History,
    title: str,
    name: str,
    *,
    mean: Callable[[Sequence[float]], float] | None = None,
    share: bool = False,
    note: str = "",
) -> LineFigure:
    values = history.column(name)
    windows = _windows(len(history), MOST_POINTS)
    means = [(float(window.stop), _of(mean or _mean, values[window.start : window.stop])) for window in windows]
    finite = [(x, y) for x, y in means if math.isfinite(y)]
    points: Points = [x for x, _ in finite], [y for _, y in finite]
    return LineFigure(
        title=title, x=_X, y="", lines={title: points}, share=share, small=True, note=note, beside="together"
    )


def _tells(figure: LineFigure) -> bool:
    """Whether a curve shows something: not where nothing was skipped, or where memory stays the same."""
    (points,) = figure.lines.values()
    if figure.title in (SKIPPED, MEMORY) and points[1]:
        return max(points[1]) - min(points[1]) > 0.01 * max(points[1])
    return len(points[0]) > 1


def _accuracy_curve(frames: Sequence[Frame]) -> LineFigure:
    accuracies = [(float(frame.iteration), frame.accuracy) for frame in frames if frame.accuracy is not None]
    points: Points = [x for x, _ in accuracies], [y for _, y in accuracies]
    return LineFigure(
        title=ACCURACY, x=_X, y="", lines={ACCURACY: points}, share=True, small=True, note=_ACCURACY, beside="together"
    )


ACCURACY, LEARNED, OF_PIXELS = "Accuracy of fresh networks", "Learned rate", "Rate of the pixels"
SKIPPED, MEMORY = "Skipped iterations", "Memory in GiB"
_LOSS = "Distance from where the expert came to, as a share of its way; 1 is no step towards it at all."
_SKIPPED = "Share of the iterations whose loss was above the threshold, so that they changed nothing."
_RATE = "Of the steps on the synthetic images; a student is taught at the last one."
_START = "The latest one among neighbouring iterations."
_ACCURACY = "Taught on the images as they were then, on validation images; test images are not looked at."
_MEMORY = "The most that was in use so far."


def _windows(count: int, most: int) -> list[range]:
    """The iterations, divided into at most `most` runs of neighbours."""
    parts = min(count, most)
    ends = [round(part * count / parts) for part in range(parts + 1)] if parts else []
    return [range(start, stop) for start, stop in pairwise(ends)]


def _of(mean: Callable[[Sequence[float]], float], values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return mean(finite) if finite else math.nan


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _last(values: Sequence[float]) -> float:
    return values[-1]


def _gibibytes(values: Sequence[float]) -> float:
    return max(values) / GIB


def _ends(window: range) -> str:
    first, last = window.start + 1, window.stop
    return f"{first:,}" if first == last else f"{first:,}\N{EN DASH}{last:,}"


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()
