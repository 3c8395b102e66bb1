"""Criteria as a command line asks for them; without importing torch."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from limbeck.errors import UserError, unknown_name
from limbeck.transfer.criteria import Criterion, find_criterion
from limbeck.transfer.part_options import has_options


def criterion_of(name: str, parts: Mapping[str, str | None], options: Sequence[str]) -> Criterion:
    """The criterion that a command line asks for.

    Args:
        name: as for `find_criterion`, or "" for the default or for parts alone.
        parts: part -> name, where one is given.
        options: "key=value" each.

    Raises:
        UserError: a name beside parts, an option that is no "key=value", or see `find_criterion`.
    """
    named: dict[str, Any] = {part: value for part, value in parts.items() if value is not None}
    if name and named:
        raise UserError(
            f"`--criterion` {name!r} names all parts, so `--{next(iter(named))}` has no place beside it; "
            "put the parts together without it."
        )
    found = find_criterion(named | {"name": "-".join(named.values())} if named else name or "entropy")
    return replace(found, options={**found.options, **_options(options)})


def criteria_of(names: Sequence[str], options: Sequence[str]) -> list[Criterion]:
    """Criteria by name, each with those of the options "key=value" that its parts have.

    Raises:
        UserError: an option that none of them has, or see `criterion_of`.
    """
    found = [find_criterion(name) for name in names]
    requested = _options(options)
    known = [one.default_options for one in found]
    for name in requested:
        if not any(name in options for options in known):
            every = dict.fromkeys(one for options in known for one in options)
            raise unknown_name(f"option of {', '.join(map(repr, names))}:", name, every, has_options(every))
    return [
        replace(one, options={**one.options, **{name: value for name, value in requested.items() if name in options}})
        for one, options in zip(found, known, strict=True)
    ]


def _options(texts: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in map(_option, texts):
        if name in found:
            raise UserError(f"`--option` {name} is given twice, as {found[name]!r} and {value!r}; give it once.")
        found[name] = value
    return found


def _option(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise UserError(f"`--option` must be KEY=VALUE, got {text!r}.")
    for kind in (int, float):
        try:
            return key, kind(value)
        except ValueError:
            continue
    return key, value
