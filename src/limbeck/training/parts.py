"""Optimisers and schedules as written in recipes: a name, or a name with options; without importing torch."""

import json
from collections.abc import Mapping
from typing import Any

from limbeck.errors import UserError, unknown_name
from limbeck.signatures import check_option


def name_and_options(spec: Any, argument: str) -> tuple[str, dict[str, Any]]:
    """Name and options of one part.

    Args:
        spec: a name, or a mapping from one name to its options.
        argument: what to call it in messages.

    Raises:
        UserError: it is neither, or has options that cannot be stored as JSON.

    Example:
        >>> name_and_options({"RAdam": {"eps": 1e-6}}, "optimizer")
        ('RAdam', {'eps': 1e-06})
    """
    if isinstance(spec, str):
        return spec, {}
    if not isinstance(spec, Mapping) or len(spec) != 1 or not isinstance(next(iter(spec)), str):
        raise UserError(f"`{argument}` must be a name, or a mapping from one name to its options, got {spec!r}.")
    name, options = next(iter(spec.items()))
    if not isinstance(options, Mapping | None) or not all(isinstance(key, str) for key in options or ()):
        raise UserError(f"the options of {argument} {name!r} must be a mapping, got {options!r}.")
    try:
        json.dumps(options or {}, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"the options of {argument} {name!r} must be numbers, text, lists and mappings, which a recipe can hold "
            f"({error}); a function of your own may set others itself."
        ) from None
    return name, dict(options or {})


def check_names(
    options: Mapping[str, Any], known: Mapping[str, Any], what: str, *, taken: Mapping[str, str] | None = None
) -> None:
    """Raises a UserError for options that a part does not have.

    Args:
        options: of the part.
        known: options that it has, with their defaults.
        what: what to call it in messages.
        taken: options that are given by settings of training -> the setting.
    """
    for name, value in options.items():
        if taken and name in taken:
            raise UserError(f"option `{name}` of {what} is `training.{taken[name]}`; set that.")
        if name not in known:
            raise unknown_name(f"option of {what}:", name, known or ("(it takes none)",))
        check_option(name, value, known[name], what)
