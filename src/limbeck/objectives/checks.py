"""Checks of hyper-parameters, in one wording."""

from collections.abc import Collection

from limbeck.errors import UserError, unknown_name


def check_temperature(temperature: float, name: str = "temperature") -> None:
    if not temperature > 0:
        raise UserError(f"`{name}` must be > 0, got {temperature}.")


def check_at_least(name: str, value: float, least: float) -> None:
    if not value >= least:
        raise UserError(f"`{name}` must be at least {least:g}, got {value}.")


def check_count(name: str, value: float) -> None:
    if value != int(value) or value < 1:
        raise UserError(f"`{name}` must be a whole number >= 1, got {value}.")


def check_choice(name: str, value: str, choices: Collection[str]) -> None:
    if value not in choices:
        raise unknown_name(f"`{name}`", value, choices, f"It is one of {', '.join(choices)}.")
