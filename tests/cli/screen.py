"""A stand-in for a terminal: what would be visible of what was written."""

import io
import re

from rich.console import Console

_PARTS = re.compile(r"\x1b\[(\??[\d;]*)([A-Za-z])|\x1b\].*?\x1b\\|([\r\n])|([^\x1b\r\n]+)", re.DOTALL)


class Screen(io.StringIO):
    """Understands what is written for a terminal of this size, as far as limbeck writes it.

    Attributes:
        lines: what is seen.
        above: what has scrolled away.
        cursor: whether it is shown.
        widest: cells that a line had; one beyond the width would have been wrapped.
    """

    def __init__(self, width: int = 80, height: int = 24) -> None:
        super().__init__()
        self.width, self.height = width, height
        self.lines: list[str] = [""]
        self.above: list[str] = []
        self.row = self.column = self.widest = 0
        self.cursor = True

    def isatty(self) -> bool:
        return True

    def console(self, **options: object) -> Console:
        """A console that writes here, and takes this for a terminal."""
        defaults = {"force_terminal": True, "width": self.width, "height": self.height, "color_system": None}
        return Console(file=self, highlight=False, emoji=False, **{**defaults, **options})  # pyright: ignore

    def write(self, text: str) -> int:
        for code, letter, control, words in _PARTS.findall(text):
            if letter:
                self._control(code, letter)
            elif control == "\r":
                self.column = 0
            elif control == "\n":
                self._next_line()
            else:
                self._show(words)
        return len(text)

    def _control(self, code: str, letter: str) -> None:
        if letter == "A":
            self.row = max(self.row - int(code or 1), 0)
        elif letter == "K":
            assert code == "2"
            self.lines[self.row] = ""
        elif code == "?25":
            self.cursor = letter == "h"
        else:
            assert letter == "m", (code, letter)

    def _next_line(self) -> None:
        self.row, self.column = self.row + 1, 0
        if self.row == len(self.lines):
            self.lines.append("")
        if len(self.lines) > self.height:
            self.above.append(self.lines.pop(0))
            self.row -= 1

    def _show(self, words: str) -> None:
        while words:
            if self.column == self.width:
                self._next_line()
            part, words = words[: self.width - self.column], words[self.width - self.column :]
            line = self.lines[self.row].ljust(self.column)
            self.lines[self.row] = line[: self.column] + part + line[self.column + len(part) :]
            self.column += len(part)
            self.widest = max(self.widest, self.column + len(words))
