"""What the command line shows: tables, warnings, errors."""

import re
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from rich.console import Console

console = Console(highlight=False, emoji=False)
errors = Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)

_show_for_programmers = warnings.showwarning
_warned: set[str] = set()
_bars = False


@contextmanager
def bars_on() -> Iterator[None]:
    """Inside, the last lines of the terminal are bars, and messages go above them."""
    global _bars
    _bars = True
    try:
        yield
    finally:
        _bars = False


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Shows a warning meant for the user once, without the line of code that it came from."""
    if file is None and category is UserWarning:
        if str(message) not in _warned:
            _warned.add(str(message))
            above = _bars and errors.file.isatty()  # an error console of the same terminal would write into the bars
            (console if above else errors).print(f"warning: {message}", style="yellow", markup=False)
    else:
        _show_for_programmers(message, category, filename, lineno, file, line)


_NARROW = 60
"""A terminal of fewer cells may have no room for tables."""
_LEGIBLE = 12
"""Cells of a word that is cut, from which it can still be read."""
_PLAIN = {"±": "+-", "–": "-", "−": "-", "·": "-", "×": "x", "…": "...", "▲": "^", "▼": "v"}


def in_plain_letters(error: UnicodeError) -> tuple[str, int]:
    """For `codecs.register_error`: characters that an encoding lacks, in plain letters or else as escapes."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_PLAIN.get(char) or char.encode("ascii", "backslashreplace").decode() for char in lacking), error.end


def show_paragraph(text: str, style: str | None = None) -> None:
    """Prints it in lines of the terminal's width, in which "10 %", "2 s" and "n = 3" stay together."""
    text = re.sub(r"(?<=\d) (?=[%A-Za-z])|(?<=n) (?==)|(?<==) (?=\d)", "\N{NO-BREAK SPACE}", text)
    lines = textwrap.wrap(text, console.width, break_on_hyphens=False)
    console.print("\n".join(lines).replace("\N{NO-BREAK SPACE}", " "), style=style, markup=False, soft_wrap=True)


def show_table(
    title: str, header: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[int] = ()
) -> None:
    """Prints a table; `numbers` are the columns to align right. A row with one cell is a heading of those below.

    Where a narrow terminal has no room for its words, each row is printed in lines of its own.
    """
    from rich.table import Table  # late: help does without it
    from rich.text import Text

    words = _longest_words(header, rows, numbers)
    whole_words = _fits(words)
    least = list(words) if whole_words else [0] * len(header)
    cut = [word if place in numbers else min(word, _LEGIBLE) for place, word in enumerate(words)]
    if len(header) > 1 and console.width < _NARROW and not _fits(cut):
        _show_rows(title, header, rows)
        return
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    longest = max((len(row[0]) for row in rows), default=0)
    least[0] = max(min(longest, 24), least[0])
    widths = _widths(least, header, rows) if whole_words else [None] * len(header)
    for index, name in enumerate(header):
        right = index in numbers
        table.add_column(
            name,
            justify="right" if right else "left",
            no_wrap=right,
            overflow="fold",
            width=widths[index],
            min_width=least[index],
            header_style="dim",
        )
    for row in rows:
        table.add_row(*map(Text, row), style="bold" if len(row) == 1 < len(header) else None)
    console.print(table)


def _show_rows(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    lines = [title] if title else []
    for first, *others in rows:
        lines += textwrap.wrap(first, console.width)
        for name, cell in zip(header[1:], others, strict=False):
            described = f"{name} {cell}".strip() if cell.strip() else ""
            lines += textwrap.wrap(described, console.width, initial_indent="  ", subsequent_indent="    ")
    console.print("\n".join(lines), markup=False)


def _fits(columns: Sequence[int]) -> bool:
    return sum(columns) + 2 * (len(columns) - 1) <= console.width


def _widths(least: Sequence[int], header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int] | list[None]:
    """Widths that fill the terminal where whole lines do not fit and words do: the longest texts are wrapped first.

    Left to itself, rich narrows columns below their least widths, which then widen them again, and cuts the last.
    """
    full = [row for row in rows if len(row) == len(header)]
    lines = [max(map(len, "\n".join(column).splitlines())) for column in zip(header, *full, strict=True)]
    if _fits(lines) or not _fits(least):
        return [None] * len(header)
    room = console.width - 2 * (len(header) - 1) - sum(least)
    needs = [max(line - minimum, 0) for line, minimum in zip(lines, least, strict=True)]
    widths = list(least)
    for wrapped, place in enumerate(sorted(range(len(needs)), key=needs.__getitem__)):
        more = min(needs[place], room // (len(needs) - wrapped))
        widths[place] += more
        room -= more
    return widths


def _longest_words(header: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int]) -> list[int]:
    """Least widths of columns, such that no word is broken."""
    full = [row for row in rows if len(row) == len(header)]
    columns = list(zip(header, *full, strict=True))
    return [
        max(len(word) for cell in column for word in (cell.splitlines() if place in numbers else cell.split()) or [""])
        for place, column in enumerate(columns)
    ]


def percent(value: float | None, half_width: float | None = None) -> str:
    """A share as "91.73", with its half-width as "91.73 ± 0.40"."""
    if value is None:
        return "–"
    return f"{100 * value:.2f}" + ("" if half_width is None else f" ± {100 * half_width:.2f}")


def show_race(results: Mapping[str, Any]) -> None:
    """Which arms of a comparison stopped early, and what that saved; nothing for a comparison without racing."""
    from limbeck.report.racing import have_ended, sentence

    if results.get("racing"):
        show_paragraph(sentence(results["racing"], ended=have_ended(results["runs"])))
