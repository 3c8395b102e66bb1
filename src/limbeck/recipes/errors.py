"""What is wrong with a recipe, one line per place: the path, what is allowed, what came, the nearest name."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from limbeck.errors import closest
from limbeck.recipes.inheritance import SHORT
from limbeck.recipes.schema import SettingsError
from limbeck.recipes.settings import NAME_ALLOWED
from limbeck.recipes.yaml_files import misread
from limbeck.training.setting_errors import WORDS, allowed_in_words


def error_lines(errors: Sequence[Any], model: type[BaseModel], prefix: str = "") -> list[str]:
    """One line per place that is wrong, in words.

    Args:
        errors: as pydantic lists them, one per alternative where a value may be of several kinds.
        model: what was validated.
        prefix: path of it in the recipe.
    """
    kinds: dict[str, list[str]] = {}
    lines: dict[str, str] = {}
    for error in errors:
        location = [part for part in error["loc"] if not _is_type_name(part)]
        path = ".".join(str(part) for part in (prefix, *location) if part != "")
        allowed = allowed_in_words(error)
        inner = error.get("ctx", {}).get("error")
        if isinstance(inner, SettingsError):
            lines |= dict.fromkeys(error_lines(inner.errors, inner.model, path), "")
        elif error["type"] == "extra_forbidden":
            lines[path] = f"unknown key; {_known_beside(location, model)}"
        elif allowed is None:
            lines.setdefault(path, _message(error))
        else:
            several = kinds.setdefault(path, [])
            several.append(allowed)
            words = [one for one in dict.fromkeys(several) if one != WORDS["int"] or WORDS["float"] not in several]
            lines[path] = f"must be {' or '.join(words)}, got {error['input']!r}"
            if WORDS["string"] in words or (location and location[-1] in SHORT):
                lines[path] += misread(error["input"])
    return [f"{path}: {line}" if path and line else path or line for path, line in lines.items()]


def _message(error: Any) -> str:
    if error["type"] == "missing":
        return "must be given"
    if error["type"] == "value_error":
        return error["msg"].removeprefix("Value error, ").rstrip(".")
    if error["type"] == "string_pattern_mismatch":
        return f"must be {NAME_ALLOWED}, got {error['input']!r}"
    if error["type"] == "too_short":
        return f"must hold at least {error['ctx']['min_length']}, got {error['input']!r}"
    return f"{error['msg'][0].lower()}{error['msg'][1:]}, got {error['input']!r}"


def _is_type_name(part: str | int) -> bool:
    """pydantic names the alternatives of a union in the path, as `constrained-int` or `tuple[int, int]`."""
    return isinstance(part, str) and (
        part in {"int", "float", "str", "bool"}
        or part.startswith(("constrained-", "function-", "union-", "tuple[", "dict[", "list[", "literal["))
    )


def _known_beside(location: Sequence[str | int], model: type[BaseModel]) -> str:
    """The nearest of the keys that are known where `location` points, or all of them."""
    for part in location[:-1]:
        field = model.model_fields.get(str(part))
        # What is no field is the name of an arm: the mapping's values are the next model.
        model = (field and _model_in(field.annotation)) or model
    known = [*model.model_fields, *getattr(model, "short_forms", ())]
    near = closest(str(location[-1]), known, 1)
    return f"did you mean {near[0]!r}?" if near else f"known here are {', '.join(known)}"


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (_model_in(one) for one in getattr(annotation, "__args__", ()))
    return next((one for one in inner if one is not None), None)
