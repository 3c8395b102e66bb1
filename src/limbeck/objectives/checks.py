"""Checks of hyper-parameters, in one wording."""

import math
from collections.abc import Collection

from limbeck.errors import UserError, unknown_name


def check_finite(name: str, value: float) -> None:
    if not math.isfinite(value):
        raise UserError(f"`{name}` must be finite, got {value}.")


def check_positive(name: str, value: float) -> None:
    check_finite(name, value)
    if not value > 0:
        raise UserError(f"`{name}` must be > 0, got {value}.")


def check_at_least(name: str, value: float, least: float) -> None:
    check_finite(name, value)
    if not value >= least:
        raise UserError(f"`{name}` must be at least {least:g}, got {value}.")


def check_count(name: str, value: float) -> None:
    if not (math.isfinite(value) and value == int(value) and value >= 1):
        raise UserError(f"`{name}` must be a whole number >= 1, got {value}.")


def check_choice(name: str, value: str, choices: Collection[str]) -> None:
    if value not in choices:
        raise unknown_name(f"`{name}`", value, choices, f"It is one of {', '.join(choices)}.")
