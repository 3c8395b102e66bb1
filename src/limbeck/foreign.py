"""A user-defined or third-party part: its origin and its metadata."""

import sysconfig
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from limbeck.errors import UserError, first_line, unknown_name

Entry = TypeVar("Entry")

IN_PYTHON = "registered in Python"
HANDED_OVER = "handed over in Python"
BY_PATH = "imported by its path"
SAID = "__limbeck__"
"""Attribute that holds the remarks on a part, see `limbeck.plugins.about`."""
_NOT_THEIRS = (Path(__file__).parent, *(Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")))


class ForeignError(UserError):
    """What somebody else's code raised, which is the cause; the message names the part, file and line."""


@contextmanager
def errors_of(what: str) -> Iterator[None]:
    """Turns what a part that is not limbeck's own raises into a `ForeignError`; a `UserError` stays as it is.

    Args:
        what: the part, as in "objective 'my_parts:margin'".
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # somebody else's code may raise anything
        raise ForeignError(f"{what} raised {described(error)}.") from error


def described(error: Exception) -> str:
    """Type and first line of an error, and the place in somebody else's code that it came from, where there is one."""
    line = first_line(error)
    frames = traceback.extract_tb(error.__traceback__)
    foreign_frames = [
        frame for frame in frames if not any(Path(frame.filename).is_relative_to(place) for place in _NOT_THEIRS)
    ]
    place = f" ({Path(foreign_frames[-1].filename).name}:{foreign_frames[-1].lineno})" if foreign_frames else ""
    return f"{type(error).__name__}{': ' * bool(line)}{line}{place}"


@dataclass
class Foreign(Generic[Entry]):
    """A part that is not limbeck's own, and its entry in the catalogue, made once.

    Attributes:
        family, name: where it is found.
        source: "brier-kd 0.1", `IN_PYTHON`, `HANDED_OVER` or `BY_PATH`.
        where: the module and the name in it, "brier_kd:Brier"; "" where that is not known.
        load: returns the part itself.
        said: remarks on it, which override its own.
        code: digest of its source, see `source_digest`; None until it is looked up, and where no
            file holds it.
        entry: what its catalogue holds; None until it is looked up.
        problem: why it cannot be used; "" where no reason is known.
    """

    family: str
    name: str
    source: str
    where: str
    load: Callable[[], Any]
    said: Mapping[str, Any] = field(default_factory=dict)
    code: str | None = None
    entry: Entry | None = None
    problem: str = ""

    def is_defined_as(self, part: Any) -> bool:
        """Whether `part` is this one, or the same definition run again."""
        if self.source != IN_PYTHON and self.where == where_is(part):
            return True
        registered = self.load() if self.source == IN_PYTHON else None
        if registered is part or not self.where:
            return registered is part or (registered is not None and registered == part)
        anonymous = "<" in self.where  # a lambda, or made by a function: there may be many of that name
        if anonymous and getattr(registered, "__code__", None) != getattr(part, "__code__", None):
            return False
        return self.where == where_is(part)


def check_remarks(remarks: Mapping[str, Any], known: Sequence[str], what: str) -> None:
    """Raises a UserError for remarks on a part that nothing reads."""
    for name in remarks:
        if name not in known:
            raise unknown_name(f"remark on {what}:", name, known, f"What may be said is {', '.join(known)}.")


def remarks_of(part: object) -> dict[str, Any]:
    return dict(getattr(part, "__dict__", {}).get(SAID, {}))


def where_is(part: Any) -> str:
    has_name = hasattr(part, "__module__") and hasattr(part, "__qualname__")
    return f"{part.__module__}:{part.__qualname__}" if has_name else ""
