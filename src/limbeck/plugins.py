"""The user's own parts beside limbeck's: registered in Python, or offered by an installed package.

A package offers its parts as entry points of the groups `limbeck.<family>`; `docs/plugins.md` shows what a part of each
family looks like.
"""

import pickle
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any, TypeVar, overload

from limbeck.catalogue import FAMILIES, USED, Catalogue
from limbeck.entry_points import offers
from limbeck.errors import UserError, closest, unknown_name
from limbeck.foreign import SAID, Foreign, remarks_of
from limbeck.import_paths import FROM_PYTHON

__all__ = [
    "FAMILIES",
    "Registered",
    "about",
    "catalogue_of",
    "noting",
    "register",
    "registered",
    "restore",
    "unregister",
]

Part = TypeVar("Part")


def catalogue_of(family: str) -> Catalogue[Any]:
    """The catalogue of a family; imports it.

    Raises:
        UserError: there is no such family.

    Example:
        >>> "kd" in catalogue_of("objectives")
        True
    """
    if family not in FAMILIES:
        raise unknown_name("family of parts", family, FAMILIES, f"It is one of {', '.join(FAMILIES)}.")
    module, _, name = FAMILIES[family][1].partition(":")
    return getattr(import_module(module), name)


@overload
def register(family: str, name: str, part: Part, *, replace: bool = False, **said: Any) -> Part: ...


@overload
def register(family: str, name: str, *, replace: bool = False, **said: Any) -> Callable[[Part], Part]: ...


def register(family: str, name: str, part: Any = None, *, replace: bool = False, **said: Any) -> Any:
    """Makes a part of one's own known by name, to recipes, listings and checks of this process.

    What is registered once more, as in a notebook cell that is run again, replaces what it was.

    Args:
        family: one of `FAMILIES`: "objectives", "representations", "scores", "allocations", "criteria", "optimizers",
            "schedules", "views", "normalised_views", "models", "datasets", "makers" or "generators".
        name: letters, digits, "-" and "_".
        part: a function, a class or whatever else the family takes, see `docs/plugins.md`; without one, `register`
            decorates it.
        replace: take the place of another part of that name, though not of one of limbeck's own.
        said: what goes beyond the part's own signature and docstring, as `summary` and `weight`.

    Returns:
        The part, as it was.

    Raises:
        UserError: no such family, a name that is taken, or a part that is none.

    Example:
        >>> @lb.register("objectives", "squares", weight=0.5)
        ... def squares(student_logits, teacher_logits, *, power: float = 2.0):
        ...     "Differences of the logits."
        ...     return (student_logits - teacher_logits).abs().pow(power).mean(1)
        >>> sorted(lb.objectives.weighted_sum({"ce": 1, "squares": {"power": 1}}).needs)
        ['labels', 'student_logits', 'teacher_logits']
        >>> unregister("objectives", "squares")
    """
    if part is None:
        return partial(_register, family, name, replace=replace, said=said)
    return _register(family, name, part, replace=replace, said=said)


def _register(family: str, name: str, part: Any, *, replace: bool, said: Mapping[str, Any]) -> Any:
    catalogue_of(family).add(name, part, said, replace=replace)
    return part


def unregister(family: str, name: str) -> None:
    """Forgets what `register` made known.

    Raises:
        UserError: nothing of that name was registered.
    """
    parts = catalogue_of(family).registered
    if name not in parts:
        raise unknown_name(f"{FAMILIES.get(family, ('part',))[0]} registered in Python:", name, parts)
    del parts[name]


def about(**said: Any) -> Callable[[Part], Part]:
    """A decorator that adds remarks to a part's signature and docstring, for `register` and entry points.

    Example:
        >>> @about(weight=30.0, paper="Nobody, Nothing of note", year=2020)
        ... def loss(student_embedding, teacher_embedding): ...
    """

    def decorate(part: Part) -> Part:
        setattr(part, SAID, {**remarks_of(part), **said})
        return part

    return decorate


@dataclass(frozen=True)
class Registered:
    """A part that was registered in Python, ready to be sent to another process."""

    family: str
    name: str
    packed: bytes
    code: str | None = None


def registered() -> list[Registered]:
    """All that was registered or handed over in Python, for `restore` in another process.

    What was handed over and cannot be sent is left out.

    Raises:
        UserError: a registered part that cannot be sent.

    Example:
        >>> restore(registered())
    """
    parts = []
    for family in (loaded for loaded in FAMILIES if _is_loaded(loaded)):
        catalogue = catalogue_of(family)
        parts += [
            Registered(family, name, packed(foreign), foreign.code) for name, foreign in catalogue.registered.items()
        ]
        for name, foreign in catalogue.handed_over.items():
            with suppress(UserError):  # `check_sendable` reports those that a comparison names
                parts.append(Registered(family, name, packed(foreign), foreign.code))
    return parts


def restore(parts: Sequence[Registered]) -> None:
    """Registers what `registered` gave in another process.

    Raises:
        UserError: a part whose module is not there.
    """
    for record in parts:
        try:
            part, remarks = pickle.loads(record.packed)
        except Exception as error:  # importing its module may raise anything
            raise UserError(
                f"{record.name!r} of the {record.family} cannot be made again in another process "
                f"({type(error).__name__}: {error}); {_IMPORTABLE}."
            ) from error
        if record.name.startswith(FROM_PYTHON):
            catalogue_of(record.family).take(record.name, part)
        else:
            catalogue_of(record.family).add(record.name, part, remarks, replace=True, code=record.code)


def misspelt() -> list[str]:
    """A sentence on each entry point in a group that no family reads, as `limbeck.objective`."""
    wrong = [
        (family, offered) for family, names in offers().items() if family not in FAMILIES for offered in names.values()
    ]
    return [
        f"{offered[0].package} {offered[0].version} offers {offered[0].name!r} in the group 'limbeck.{family}', which "
        f"nobody reads{''.join(f'; is it limbeck.{near}?' for near in closest(family, FAMILIES, 1)) or '.'}"
        for family, offered in wrong
    ]


@contextmanager
def noting() -> Iterator[dict[str, Foreign[Any]]]:
    """Notes which parts that are not limbeck's own are looked up inside, as "objectives/brier"."""
    used: dict[str, Foreign[Any]] = {}
    token = USED.set(used)
    try:
        yield used
    finally:
        USED.reset(token)


_IMPORTABLE = (
    "put it into a module that can be imported, or let your package offer it as an entry point; or work without workers"
)


def _is_loaded(family: str) -> bool:
    """Whether its catalogue is imported: otherwise nothing can have been registered."""
    return FAMILIES[family][1].partition(":")[0] in sys.modules


def packed(one: Foreign[Any]) -> bytes:
    """A part as bytes.

    Raises:
        UserError: it cannot be sent to other processes.
    """
    from limbeck.workers.packing import pack

    try:
        return pack((one.load(), dict(one.said)))
    except Exception as error:  # pickling may raise anything
        raise UserError(
            f"{one.name!r} of the {one.family} cannot be sent to other processes ({type(error).__name__}: {error}); "
            f"{_IMPORTABLE}."
        ) from error
