"""What a page is made of; `templates/blocks.html.j2` has one macro for each kind."""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import ClassVar

from limbeck.report.figures.style import Arm
from limbeck.report.transfer_set.pictures import Picture
from limbeck.report.vega import Figure


@dataclass(frozen=True)
class Note:
    """A paragraph."""

    kind: ClassVar[str] = "note"
    text: str


@dataclass(frozen=True)
class Cell:
    """A table cell that links somewhere, carries a tone ('good', 'bad', 'quiet', 'strong') or a note below its text."""

    text: str
    href: str = ""
    tone: str = ""
    note: str = ""


@dataclass(frozen=True)
class Table:
    """Rows under a caption; the columns in `numeric` are aligned as numbers; `folded` hides them behind the caption."""

    kind: ClassVar[str] = "table"
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]
    numeric: Container[int] = range(1, 99)
    folded: bool = False


@dataclass(frozen=True)
class Chart:
    """A figure with what there is to know about it."""

    kind: ClassVar[str] = "chart"
    figure: Figure
    title: str = ""
    caption: str = ""


@dataclass(frozen=True)
class Grid:
    """Charts side by side, as many as `columns` where there is room."""

    kind: ClassVar[str] = "grid"
    charts: Sequence[Chart]
    columns: int = 2


@dataclass(frozen=True)
class Legend:
    """The arms of a page, drawn as in its charts."""

    kind: ClassVar[str] = "legend"
    arms: Sequence[Arm]


@dataclass(frozen=True)
class Image:
    """A picture made of pixels, shown enlarged."""

    kind: ClassVar[str] = "image"
    uri: str
    label: str
    caption: str


@dataclass(frozen=True)
class Gallery:
    """Groups of pictures that open and close."""

    kind: ClassVar[str] = "gallery"
    title: str
    groups: Sequence[tuple[str, Sequence[Picture]]]
    open: bool = False


@dataclass(frozen=True)
class Code:
    """Preformatted text that opens and closes."""

    kind: ClassVar[str] = "code"
    title: str
    text: str
    open: bool = False


Block = Note | Table | Chart | Grid | Legend | Image | Gallery | Code


@dataclass(frozen=True)
class Section:
    """A heading of the table of contents with what stands under it."""

    key: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Fact:
    """A number that the top of a page shows large, with a note below it in a tone ('good', 'bad')."""

    label: str
    value: str
    note: str = ""
    tone: str = ""


@dataclass(frozen=True)
class Page:
    """A whole report."""

    kind: str
    title: str
    lead: Sequence[str]
    facts: Sequence[Fact]
    sections: Sequence[Section]
    warning: str = ""
    footer: str = ""
