"""What the view caches of one teacher hand on from round to round, so that a round costs its own images only."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from weakref import WeakKeyDictionary

from limbeck.models.fingerprint import Identity, identify
from limbeck.models.forward import FrozenTeacher
from limbeck.training.view_cache.codecs import Codec
from limbeck.training.view_cache.index import RowIndex


@dataclass
class History:
    """The memory of one teacher's caches.

    Attributes:
        identity: the fingerprint, taken before the teacher was asked anything, which may leave something behind.
        codecs: by what shapes them; they take a pass of the teacher.
        found: outputs read so far that were from before the run, or another process's.
        next_check: at how many of these some are compared with what the teacher says now.
        taken: how many logits that were known before were taken into a folder; None where they are other ones.
    """

    identity: Identity
    codecs: dict[tuple[object, ...], dict[str, Codec]] = field(default_factory=dict)
    found: int = 0
    next_check: int = 1
    taken: dict[Path, int | None] = field(default_factory=dict)
    _indexes: dict[Path, RowIndex] = field(default_factory=dict)
    _said: set[str] = field(default_factory=set)

    def index(self, path: Path) -> RowIndex:
        """The index at `path`, as far as it was read in earlier rounds."""
        return self._indexes.setdefault(path, RowIndex(path))

    def say_once(self, what: str, say: Callable[[str], None], message: str) -> None:
        """Says `message`, but for when something was said of `what` before."""
        if what not in self._said:
            self._said.add(what)
            say(message)


_HISTORIES: WeakKeyDictionary[FrozenTeacher, History] = WeakKeyDictionary()


def history_of(teacher: FrozenTeacher) -> History:
    """The history of `teacher`, which ends with it."""
    if teacher not in _HISTORIES:
        _HISTORIES[teacher] = History(identify(teacher.classifier))
    return _HISTORIES[teacher]
