"""The one exception users see, and the wording that all of its messages share."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches


class UserError(ValueError):
    """Something the user can mend; the command line prints the message alone, without a traceback.

    Example:
        >>> try:
        ...     lb.create("resnet21", num_classes=10)
        ... except UserError as error:
        ...     print(error)
        unknown model 'resnet21'; did you mean 'resnet32' or ...
    """


def closest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Up to `count` known names that look like `name`, best first, case ignored."""
    by_fold = {candidate.casefold(): candidate for candidate in known}
    matches = get_close_matches(name.casefold(), by_fold, n=count, cutoff=0.5)
    return [by_fold[match] for match in matches]


def unknown_name(kind: str, got: str, known: Iterable[str], hint: str = "") -> UserError:
    """Error for a name that is not in a family of parts.

    Example:
        >>> str(unknown_name("objective", "dkb", ["kd", "dkd"]))
        "unknown objective 'dkb'; did you mean 'dkd'?"
    """
    known = list(known)
    suggestions = closest(got, known)
    if suggestions:
        middle = f"; did you mean {' or '.join(repr(suggestion) for suggestion in suggestions)}?"
    elif 0 < len(known) <= 12:
        middle = f"; known are {', '.join(sorted(known))}."
    else:
        middle = "."
    return UserError(f"unknown {kind} {got!r}{middle}{' ' + hint if hint else ''}")


def first_line(error: Exception) -> str:
    """The first line of an error's message, without a full stop; "" where there is none.

    Example:
        >>> first_line(RuntimeError("no such shape.\\nIt came from ..."))
        'no such shape'
    """
    return next(iter(str(error).strip().splitlines()), "").rstrip(".")


@contextmanager
def collecting(problems: list[str]) -> Iterator[None]:
    """Adds what the block raises to `problems`, each line of it once, and goes on after the block.

    Example:
        >>> problems: list[str] = []
        >>> with collecting(problems):
        ...     raise UserError("`budget` must be > 0, got 0.")
        >>> problems
        ['`budget` must be > 0, got 0.']
    """
    try:
        yield
    except UserError as error:
        problems += [line for line in str(error).splitlines() if line not in problems]
