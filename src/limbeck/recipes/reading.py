"""From YAML and the command line's overrides to a `Recipe`, with all that is wrong said at once."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from limbeck.errors import UserError, closest
from limbeck.recipes.packaged import find_recipe
from limbeck.recipes.schema import Recipe

# Setting one of these on the command line drops the other from the recipe: they exclude each other.
_EITHER = {"steps": "epochs", "epochs": "steps"}


def read_recipe(source: str | Path | Mapping[str, Any], overrides: Sequence[str] = ()) -> Recipe:
    """A recipe by packaged name, from a YAML file, or from a mapping.

    Args:
        source: name, path or mapping.
        overrides: `path.to.key=value` each, the value in YAML; later ones win.

    Raises:
        UserError: no such recipe, no YAML, or every error of the recipe: where, what is allowed, what came.

    Example:
        >>> read_recipe("digits-demo", ["training.steps=50"]).training.steps
        50
    """
    if isinstance(source, Mapping):
        origin, content = "the recipe", dict(source)
    else:
        path = find_recipe(str(source))
        origin, content = f"recipe {str(source)!r}", _load_yaml(path)
    for override in overrides:
        _apply(content, override)
    return parse_recipe(content, origin)


def parse_recipe(content: Mapping[str, Any], origin: str = "the recipe") -> Recipe:
    """A `Recipe` from plain data; raises one UserError for all that is wrong."""
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        lines = [_line(detail, content) for detail in error.errors()]
        count = f"{len(lines)} error{'s' if len(lines) > 1 else ''}"
        raise UserError(f"{origin} has {count}:\n  " + "\n  ".join(dict.fromkeys(lines))) from None


def _load_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"the recipe {str(path)!r} is no valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"the recipe {str(path)!r} must be a mapping of keys to values, got {type(content).__name__}.")
    return content


def _apply(content: dict[str, Any], override: str) -> None:
    path, found, text = override.partition("=")
    keys = path.strip().split(".")
    if not found or not all(keys):
        raise UserError(f"an override must look like training.epochs=5, got {override!r}.")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"the value of override {override!r} is no valid YAML: {error}") from error
    node = content
    for depth, key in enumerate(keys[:-1]):
        inner = node.get(key)
        if not isinstance(inner, dict):
            # `student: resnet20` is short for a mapping; what was short is replaced by what is now spelt out.
            place = "arm" if keys[:depth] == ["compare", "arms"] else key
            inner = node[key] = {} if inner is None else _spelt_out(place, inner)
        node = inner
    node[keys[-1]] = value
    if len(keys) > 1 and keys[-2] == "training":
        node.pop(_EITHER.get(keys[-1], ""), None)


def _spelt_out(place: str, short: Any) -> dict[str, Any]:
    if place == "data":
        return {"train": short, "test": short}
    return {{"teacher": "weights", "student": "model", "arm": "select"}.get(place, "name"): short}


def _line(detail: Any, content: Mapping[str, Any]) -> str:
    """One line for one error: path, what is allowed, what came, the nearest name."""
    location = [part for part in detail["loc"] if not _is_type_name(part)]
    path = ".".join(str(part) for part in location)
    got = detail["input"]
    if detail["type"] == "extra_forbidden":
        known = _fields_beside(location)
        near = closest(str(location[-1]), known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known here are {', '.join(known)}"
        return f"{path}: unknown key; {hint}"
    if detail["type"] == "missing":
        return f"{path}: must be given"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "value_error":
        return f"{path}: {message}" if path else message
    message = message[0].lower() + message[1:]
    return f"{path}: {message}, got {got!r}"


def _is_type_name(part: str | int) -> bool:
    """pydantic names the alternatives of a union in the path, as `constrained-int` or `tuple[int, int]`."""
    return isinstance(part, str) and (
        part in {"int", "float", "str", "list", "dict"} or part.startswith(("constrained-", "function-", "tuple["))
    )


def _fields_beside(location: Sequence[str | int]) -> list[str]:
    """Keys that a recipe allows where `location` points."""
    model: type[BaseModel] = Recipe
    for part in location[:-1]:
        field = model.model_fields.get(str(part))
        inner = None if field is None else _model_in(field.annotation)
        if inner is None:
            # an arm's name: the mapping's values are the next model
            continue
        model = inner
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _model_in(inner)
        if found is not None:
            return found
    return None
