"""Options that would change nothing, which are refused and never passed over."""

from collections.abc import Mapping
from typing import Any

from limbeck.errors import UserError


def refuse_unused(options: Mapping[str, Any], why: str) -> None:
    """Raises a UserError that names those of `options` that were typed.

    Args:
        options: as they are typed -> value, None or empty where one was not.
        why: what they are of, and what to do.

    Example:
        >>> refuse_unused({"--split": None, "--steps": 3}, "of --test; give it, or leave this out")
        Traceback (most recent call last):
        limbeck.errors.UserError: `--steps` is of --test; give it, or leave this out.
    """
    used = [f"`{name}`" for name, value in options.items() if value is not None and value != []]
    if used:
        raise UserError(f"{', '.join(used)} {'is' if len(used) == 1 else 'are'} {why}.")


def typed(loading: Mapping[str, Any]) -> dict[str, Any]:
    """The options of `limbeck.load` that were given, as they are typed."""
    return {f"--{name.replace('_', '-')}": value for name, value in loading.items()}
