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
    part_names: dict[str, Any] = {part: value for part, value in parts.items() if value is not None}
    if name and part_names:
        raise UserError(
            f"`--criterion` {name!r} names all parts, so `--{next(iter(part_names))}` has no place beside it; "
            "put the parts together without it."
        )
    criterion = find_criterion(
        part_names | {"name": "-".join(part_names.values())} if part_names else name or "entropy"
    )
    return replace(criterion, options={**criterion.options, **_options(options)})


def criteria_of(names: Sequence[str], options: Sequence[str]) -> list[Criterion]:
    """Criteria by name, each with those of the options "key=value" that its parts have.

    Raises:
        UserError: an option that none of them has, or see `criterion_of`.
    """
    criteria = [find_criterion(name) for name in names]
    requested = _options(options)
    defaults = [criterion.default_options for criterion in criteria]
    for name in requested:
        if not any(name in options for options in defaults):
            every = dict.fromkeys(option for options in defaults for option in options)
            raise unknown_name(f"option of {', '.join(map(repr, names))}:", name, every, has_options(every))
    return [
        replace(
            criterion,
            options={**criterion.options, **{name: value for name, value in requested.items() if name in options}},
        )
        for criterion, options in zip(criteria, defaults, strict=True)
    ]


def _options(texts: Sequence[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for name, value in map(_option, texts):
        if name in options:
            raise UserError(f"`--option` {name} is given twice, as {options[name]!r} and {value!r}; give it once.")
        options[name] = value
    return options


def _option(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise UserError(f"`--option` must be KEY=VALUE, got {text!r}.")
    if value == "null":  # as recipes and pages write it
        return key, None
    for kind in (int, float):
        try:
            return key, kind(value)
        except ValueError:
            continue
    return key, value
