"""Tables and charts of evidence, in a form that the report can show without knowing the maker."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal

from limbeck.errors import UserError

Value = str | float | int | None
Points = tuple[Sequence[float], Sequence[float]]
"""x and y of the same number of points."""
Beside = Literal["each", "together", "alone"]
"""How the page of a comparison shows a figure: for "each" arm in turn, "together" with the figures of other
arms that have the same title, or "alone", which is only on the pages of runs."""


@dataclass(frozen=True, kw_only=True)
class TableFigure:
    """Rows under a title; the report folds a table of many rows.

    Attributes:
        title: what the rows are.
        columns: distinct headings.
        rows: one value per column each; None where there is no value.
        percent: the columns whose numbers are shares of 1.
        note: what there is to know about it, in sentences.
        beside: see `Beside`; tables cannot be shown "together".

    Example:
        >>> TableFigure(title="Images", columns=["Class", "Chosen"], rows=[["cat", 3]]).rows
        [['cat', 3]]
    """

    kind: ClassVar[Literal["table"]] = "table"
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Value]]
    percent: Sequence[str] = ()
    note: str = ""
    beside: Beside = "each"

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise UserError(f"`rows` of {self.title!r} must have {len(self.columns)} values, got {len(row)}.")

    def to_dict(self) -> dict[str, Any]:
        """Json-able; numbers that are not finite become None."""
        rows = [[_finite(value) for value in row] for row in self.rows]
        return {"kind": self.kind, **asdict(self), "rows": rows}


@dataclass(frozen=True, kw_only=True)
class StackedBars:
    """Counts of several parts on top of one another, for each of many bars.

    Attributes:
        title: what is counted.
        one: what a bar is, such as "class".
        part: what a part is, such as "pool".
        names: of the bars, distinct, in the order in which they are shown.
        parts: name of the part -> counts of all bars.
        note: what there is to know about it, in sentences.
        beside: see `Beside`.

    Example:
        >>> StackedBars(title="Images", one="class", part="pool", names=["cat"], parts={"birds": [3]}).parts["birds"]
        [3]
    """

    kind: ClassVar[Literal["bars"]] = "bars"
    title: str
    one: str
    part: str
    names: Sequence[str]
    parts: Mapping[str, Sequence[float]]
    note: str = ""
    beside: Beside = "each"

    def __post_init__(self) -> None:
        for name, counts in self.parts.items():
            if len(counts) != len(self.names):
                raise UserError(f"`parts[{name!r}]` must have {len(self.names)} counts, got {len(counts)}.")

    def to_dict(self) -> dict[str, Any]:
        """Json-able; counts that are not finite become 0."""
        parts = {name: [_finite(count) or 0 for count in counts] for name, counts in self.parts.items()}
        return {"kind": self.kind, **asdict(self), "parts": parts}


@dataclass(frozen=True, kw_only=True)
class LineFigure:
    """Curves in one pair of axes, each with at most one mark.

    Attributes:
        title: what they show.
        x, y: titles of the axes.
        lines: name -> points, from left to right.
        marks: name of a line -> (x, y) of its mark.
        mark: what the marks stand for.
        logarithmic: whether the x axis is logarithmic; then all x are > 0.
        share: whether y are shares of 1, to be shown as percentages.
        small: whether it may be drawn side by side with neighbouring small figures.
        note: what there is to know about it, in sentences.
        beside: see `Beside`; "together", a figure of a single line becomes the line of its arm.

    Example:
        >>> LineFigure(title="Scores", x="rank", y="score", lines={"cat": ([1, 2], [0.9, 0.4])}).lines["cat"][0]
        [1, 2]
    """

    kind: ClassVar[Literal["lines"]] = "lines"
    title: str
    x: str
    y: str
    lines: Mapping[str, Points]
    marks: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    mark: str = ""
    logarithmic: bool = False
    share: bool = False
    small: bool = False
    note: str = ""
    beside: Beside = "each"

    def to_dict(self) -> dict[str, Any]:
        """Json-able, without points that are not finite."""
        lines = {name: _both_finite(*points) for name, points in self.lines.items()}
        marks = {name: list(at) for name, at in self.marks.items() if all(map(math.isfinite, at))}
        return {"kind": self.kind, **asdict(self), "lines": lines, "marks": marks}


@dataclass(frozen=True, kw_only=True)
class MatrixFigure:
    """How often one class occurs with another, for at most `MOST_CLASSES` classes.

    Attributes:
        title: what is counted.
        row, column: what the classes of rows and of columns are, such as "wanted".
        names: of the classes, distinct.
        counts: of every row, as many as there are names.
        note: what there is to know about it, in sentences.
        beside: see `Beside`; matrices cannot be shown "together".

    Example:
        >>> MatrixFigure(title="Images", row="wanted", column="obtained", names=["a"], counts=[[3]]).counts
        [[3]]
    """

    kind: ClassVar[Literal["matrix"]] = "matrix"
    MOST_CLASSES: ClassVar[int] = 30
    title: str
    row: str
    column: str
    names: Sequence[str]
    counts: Sequence[Sequence[int]]
    note: str = ""
    beside: Beside = "each"

    def __post_init__(self) -> None:
        size = len(self.names)
        if size > self.MOST_CLASSES or [len(row) for row in self.counts] != [size] * size:
            raise UserError(
                f"`counts` of {self.title!r} must be as many rows and columns as `names`, {self.MOST_CLASSES} at most, "
                f"got {len(self.counts)} rows for {size} names."
            )

    def to_dict(self) -> dict[str, Any]:
        """Json-able."""
        return {"kind": self.kind, **asdict(self), "counts": [list(map(int, row)) for row in self.counts]}


@dataclass(frozen=True, kw_only=True)
class PointsFigure:
    """A map of images as points, coloured by class.

    Attributes:
        title: what the map shows.
        points: x and y of n images.
        labels: n indices into `names`; -1 for none.
        names: of the classes.
        parts: name of a part, such as "made" or "real" -> its number of images, in the order of the points; each part
            has its own marker.
        note: what there is to know about it, in sentences.
        beside: see `Beside`.

    Example:
        >>> PointsFigure(title="t-SNE", points=([0.5], [2.0]), labels=[0], names=["cat"], parts={"made": 1}).names
        ['cat']
    """

    kind: ClassVar[Literal["points"]] = "points"
    title: str
    points: Points
    labels: Sequence[int]
    names: Sequence[str]
    parts: Mapping[str, int]
    note: str = ""
    beside: Beside = "each"

    def __post_init__(self) -> None:
        sizes = {len(self.labels), *map(len, self.points), sum(self.parts.values())}
        if len(sizes) > 1:
            raise UserError(
                f"`points`, `labels` and `parts` of {self.title!r} must be equally many, got {sorted(sizes)}."
            )

    def to_dict(self) -> dict[str, Any]:
        """Json-able; coordinates, which are finite, are rounded to what a screen can show."""
        points = [[round(float(value), 3) for value in axis] for axis in self.points]
        return {"kind": self.kind, **asdict(self), "points": points, "labels": [int(label) for label in self.labels]}


EvidenceFigure = TableFigure | StackedBars | LineFigure | MatrixFigure | PointsFigure
_KINDS: dict[str, type[EvidenceFigure]] = {
    figure.kind: figure for figure in (TableFigure, StackedBars, LineFigure, MatrixFigure, PointsFigure)
}


def figure_of(found: Mapping[str, Any]) -> EvidenceFigure:
    """The figure whose `to_dict` is `found`.

    Raises:
        ValueError: its kind is unknown, as in evidence of a later version.
    """
    content = dict(found)
    kind = content.pop("kind")
    if kind not in _KINDS:
        raise ValueError(f"a figure of kind {kind!r}; update limbeck")
    return _KINDS[kind](**content)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _both_finite(x: Sequence[float], y: Sequence[float]) -> list[list[float]]:
    points = [(a, b) for a, b in zip(x, y, strict=True) if math.isfinite(a) and math.isfinite(b)]
    return [[a for a, _ in points], [b for _, b in points]]
