"""The rounds of a run on disk, a line each, as they are made."""

import json
from dataclasses import asdict
from pathlib import Path

from torch import Tensor

from limbeck.errors import UserError
from limbeck.files import atomic_write_text, disk_errors
from limbeck.transfer.generate.history import History, Round

HISTORY = "history.jsonl"
"""In the maker's folder."""


class HistoryFile:
    """Rounds are added in order; after going back to an earlier state, later rounds are made and written again.

    Args:
        folder: of the maker.

    Attributes:
        count: rounds that count.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / HISTORY
        self.count = 0
        self._known: list[Round] = []  # in memory, as far as they were read or made by this object
        self._checked = False  # whether the file holds no rounds beyond `count`

    def append(self, one: Round) -> None:
        """Adds a round.

        Raises:
            UserError: the disk is full.
        """
        if not self._checked:
            self._cut()
        with disk_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a") as file:
                file.write(json.dumps(asdict(one), default=Tensor.tolist) + "\n")
        if len(self._known) == self.count:
            self._known.append(one)
        self.count += 1

    def go_back(self, count: int) -> None:
        """Forgets all rounds but the first `count`."""
        self.count, self._checked = count, False
        self._known = []  # another process may have made other rounds since

    def read(self) -> History:
        """The rounds that count.

        Raises:
            UserError: the file lacks some of them, or is damaged.
        """
        try:
            if len(self._known) < self.count:
                self._known = [Round(**json.loads(line)) for line in self._lines()[: self.count]]
            return History(self._known)
        except (ValueError, TypeError) as error:
            raise UserError(f"{str(self.path)!r} is damaged ({error}); begin the run in another folder.") from error

    def _lines(self) -> list[str]:
        return self.path.read_text().splitlines() if self.path.exists() else []

    def _cut(self) -> None:
        lines = self._lines()
        if len(lines) > self.count or (lines and not self.path.read_bytes().endswith(b"\n")):
            atomic_write_text(self.path, "".join(f"{line}\n" for line in lines[: self.count]))
        self._checked = True
