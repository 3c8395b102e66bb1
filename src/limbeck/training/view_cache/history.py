"""What the view caches of one teacher pass on from round to round, so that a round only costs its own images."""

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
    """State shared by one teacher's caches.

    Attributes:
        identity: the fingerprint, taken before the teacher computes anything, since that may change its attributes.
        codecs: by the settings and shape that determine them; making them takes a pass of the teacher.
        found: outputs read so far that were written before the run, or by another process.
        next_check: the number of these at which some are compared with the teacher's present outputs.
        taken: folder -> how many known logits were put into it; None where they differ from the teacher's.
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
        """Calls `say` with `message`, unless there was a message on `what` before."""
        if what not in self._said:
            self._said.add(what)
            say(message)


_HISTORIES: WeakKeyDictionary[FrozenTeacher, History] = WeakKeyDictionary()


def history_of(teacher: FrozenTeacher) -> History:
    """The history of `teacher`, kept as long as the teacher."""
    if teacher not in _HISTORIES:
        _HISTORIES[teacher] = History(identify(teacher.classifier))
    return _HISTORIES[teacher]
