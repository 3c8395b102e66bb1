"""Which classes of the pools are excluded: those named for one pool or for all, or all that the teacher knows."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from limbeck.errors import UserError, closest
from limbeck.transfer.class_names import alike, known_as, why_unmatched


@dataclass(frozen=True)
class PoolClasses:
    """The classes of a pool.

    Attributes:
        pool: its name.
        names: by number; empty without labels.
        exclude: names or numbers that its own settings exclude.
    """

    pool: str
    names: tuple[str, ...]
    exclude: Sequence[str | int]


def of_own_settings(one: PoolClasses) -> set[int]:
    """Numbers of the classes that the pool's own settings exclude.

    Raises:
        UserError: it has no such class, or no labels.
    """
    if one.exclude and not one.names:
        raise UserError(
            f"`exclude` of pool {one.pool!r} needs labels, and it has none; leave it out, or name their column with "
            "`label_column`."
        )
    return {number for wanted in one.exclude for number in _numbers(wanted, one)}


def of_all_pools(exclude: Sequence[str], pools: Sequence[PoolClasses]) -> list[set[int]]:
    """For each pool, the numbers of its classes that have one of the names.

    Raises:
        UserError: no pool has a class of some name.
    """
    matches = [{name: alike(name, pool.names) for name in exclude} for pool in pools]
    nowhere = [name for name in exclude if not any(match[name] for match in matches)]
    if nowhere:
        raise UserError(
            "`exclude` must name classes of the pools, got "
            f"{', '.join(f'{name!r}{_near(name, pools)}' for name in nowhere)}. Leave out what no pool has."
        )
    return [{number for numbers in match.values() for number in numbers} for match in matches]


def of_teacher(one: PoolClasses, teacher_classes: Sequence[str]) -> set[int]:
    """Numbers of the classes that the teacher knows by name; warns and excludes none if names do not tell."""
    if reason := why_unmatched(one.names, teacher_classes):
        warnings.warn(
            f"names do not tell which classes of pool {one.pool!r} the teacher knows, so none of them is left out: "
            f"{reason}. Name those to leave out in its `exclude`.",
            stacklevel=4,
        )
        return set()
    known = known_as(one.names, teacher_classes)
    return {number for number, name in enumerate(one.names) if name in known}


def _numbers(wanted: str | int, one: PoolClasses) -> list[int]:
    if isinstance(wanted, int):
        return [_checked(wanted, one)]
    numbers = alike(wanted, one.names)
    if not numbers:
        raise UserError(
            f"`exclude` of pool {one.pool!r} must name classes of it, got {wanted!r}{_near(wanted, [one])}."
        )
    return numbers


def _checked(number: int, one: PoolClasses) -> int:
    what, names = f"`exclude` of pool {one.pool!r}", one.names
    if not 0 <= number < len(names):
        raise UserError(f"{what} must lie in 0..{len(names) - 1}, or name classes as text, got {number}.")
    if str(number) in names and names[number] != str(number):
        raise UserError(
            f"{what}: {number} is the number of class {names[number]!r} and the name of another; give names, as text: "
            f"{names[number]!r} or {str(number)!r}."
        )
    return number


def _near(wanted: str, pools: Sequence[PoolClasses]) -> str:
    """The closest names as a hint, with their pools if there are several; all names if they are few."""
    owners = {name: owner.pool for owner in reversed(pools) for name in owner.names}
    near = closest(wanted, owners) or (list(owners) if len(owners) <= 12 else [])
    names = " or ".join(f"{name!r}{f' of {owners[name]!r}' if len(pools) > 1 else ''}" for name in near)
    return f" (did you mean {names}?)" if near else ""
