"""A part that is not limbeck's own: where it came from, and what is said of it beside what it says itself."""

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
"""Attribute that holds what is said of a part, see `limbeck.plugins.about`."""
_NOT_THEIRS = (Path(__file__).parent, *(Path(sysconfig.get_path(one)) for one in ("stdlib", "purelib", "platlib")))


class ForeignError(UserError):
    """What somebody else's code raised, which is the cause; the message names the part, file and line."""


@contextmanager
def errors_of(what: str) -> Iterator[None]:
    """Tells what a part that is not limbeck's own raises as a `ForeignError`; a `UserError` stays as it is.

    Args:
        what: the part, as in "objective 'my_parts:margin'".
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # it is anybody's code
        raise ForeignError(f"{what} raised {described(error)}.") from error


def described(error: Exception) -> str:
    """Type and first line of an error, and the place in somebody else's code that it came from, where there is one."""
    line = first_line(error)
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [one for one in frames if not any(Path(one.filename).is_relative_to(place) for place in _NOT_THEIRS)]
    place = f" ({Path(theirs[-1].filename).name}:{theirs[-1].lineno})" if theirs else ""
    return f"{type(error).__name__}{': ' * bool(line)}{line}{place}"


@dataclass
class Foreign(Generic[Entry]):
    """A part that is not limbeck's own, and what its catalogue makes of it, once.

    Attributes:
        family, name: where it is found.
        source: "brier-kd 0.1", `IN_PYTHON`, `HANDED_OVER` or `BY_PATH`.
        where: the module and the name in it, "brier_kd:Brier"; "" where that is not known.
        load: gives the part itself.
        said: what was said of it, over what it says itself.
        code: digest of the source that it is written in, see `source_digest`; None until it is looked up, and where no
            file holds it.
        entry: what its catalogue holds; None until it is looked up.
        problem: why it cannot be used; "" where nothing is known of that.
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
        known = self.load() if self.source == IN_PYTHON else None
        if known is part or not self.where:
            return known is part or (known is not None and known == part)
        anonymous = "<" in self.where  # a lambda, or made by a function: there may be many of that name
        if anonymous and getattr(known, "__code__", None) != getattr(part, "__code__", None):
            return False
        return self.where == where_is(part)


def check_remarks(remarks: Mapping[str, Any], known: Sequence[str], what: str) -> None:
    """Raises a UserError for what is said of a part and nobody would read."""
    for name in remarks:
        if name not in known:
            raise unknown_name(f"remark on {what}:", name, known, f"What may be said is {', '.join(known)}.")


def remarks_of(part: object) -> dict[str, Any]:
    return dict(getattr(part, "__dict__", {}).get(SAID, {}))


def where_is(part: Any) -> str:
    named = hasattr(part, "__module__") and hasattr(part, "__qualname__")
    return f"{part.__module__}:{part.__qualname__}" if named else ""
