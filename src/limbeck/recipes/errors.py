"""Errors of a recipe, one line per place, with a hint if YAML read the value as something else."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from limbeck.recipes.inheritance import SHORT
from limbeck.recipes.yaml_files import misread
from limbeck.training import setting_errors
from limbeck.training.setting_errors import WORDS


def error_lines(errors: Sequence[Any], model: type[BaseModel], prefix: str = "") -> list[str]:
    """`limbeck.training.setting_errors.error_lines` with hints on YAML; `prefix` is the path in the recipe."""
    return setting_errors.error_lines(errors, model, prefix, _as_yaml)


def _as_yaml(location: Sequence[str | int], allowed: Sequence[str], value: Any) -> str:
    text = WORDS["string"] in allowed or (bool(location) and location[-1] in SHORT)
    return misread(value) if text else ""
