"""Errors of pydantic in limbeck's words, one line per place: its path, what is allowed, and what was given."""

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import BaseModel

from limbeck.errors import closest

NAME_ALLOWED = "letters, digits, '_', '-' and '.', because it names a folder"
WORDS = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a finite number",
    "string": "text",
    "bool": "true or false",
    "list": "a list",
    "tuple": "a list of two",
    "dict": "a mapping of keys to values",
    "model": "a mapping of keys to values",
}
_SIGNS = {
    "greater than or equal to": ">=",
    "greater than": ">",
    "less than or equal to": "<=",
    "less than": "<",
}
_LONG = 200
"""Largest number of characters of a value that is shown in full."""
Remark = Callable[[Sequence[str | int], Sequence[str], Any], str]
"""(location, what is allowed there, the value given) -> text appended to the message."""


class SettingsError(ValueError):
    """All errors in a part of some settings: pydantic's `errors`, and the `model` that was validated."""

    def __init__(self, errors: list[Any], model: type[BaseModel]) -> None:
        super().__init__("wrong settings")
        self.errors = errors
        self.model = model


def error_lines(
    errors: Sequence[Any], model: type[BaseModel], prefix: str = "", remark: Remark | None = None
) -> list[str]:
    """One line per place that is wrong, in words.

    Args:
        errors: as pydantic lists them, one per alternative where a value may be of several kinds.
        model: what was validated.
        prefix: its path among other settings.
        remark: gives text to append where a value must be of some kind.

    Example:
        >>> from limbeck.training.settings import TrainingSettings
        >>> wrong = {"loc": ("epochs",), "type": "extra_forbidden", "msg": "", "input": 1}
        >>> error_lines([{**wrong, "loc": ("epoch",)}], TrainingSettings, "training")
        ["training.epoch: unknown key; did you mean 'epochs'?"]
    """
    kinds: dict[str, list[str]] = {}
    lines: dict[str, str] = {}
    for error in errors:
        location = [part for part in error["loc"] if not _is_type_name(part)]
        path = ".".join(str(part) for part in (prefix, *location) if part != "")
        allowed = allowed_in_words(error)
        inner = error.get("ctx", {}).get("error")
        if isinstance(inner, SettingsError):
            lines |= dict.fromkeys(error_lines(inner.errors, inner.model, path, remark), "")
        elif error["type"] == "extra_forbidden":
            lines[path] = f"unknown key; {_known_beside(location, model)}"
        elif allowed is None:
            lines.setdefault(path, _message(error))
        else:
            several = kinds.setdefault(path, [])
            several.append(allowed)
            words = [word for word in dict.fromkeys(several) if word != WORDS["int"] or WORDS["float"] not in several]
            lines[path] = f"must be {' or '.join(words)}, got {_shown(error['input'])}"
            if remark is not None:
                lines[path] += remark(location, words, error["input"])
    return [f"{path}: {line}" if path and line else path or line for path, line in lines.items()]


def allowed_in_words(error: Any) -> str | None:
    """What the value must be, if that is all that pydantic says; else None.

    Args:
        error: an entry of `ValidationError.errors`.

    Example:
        >>> allowed_in_words({"type": "greater_than", "msg": "Input should be greater than 0"})
        '> 0'
    """
    kind = error["type"].split("_")[0]
    if kind in WORDS and error["type"].endswith(("_type", "_parsing", "_from_float", "_number")):
        return WORDS[kind]
    message = error["msg"]
    if not message.startswith("Input should be "):
        return None
    words = message.removeprefix("Input should be ")
    for theirs, ours in _SIGNS.items():
        words = words.replace(theirs, ours)
    return words


def _message(error: Any) -> str:
    if error["type"] == "missing":
        return "must be given"
    if error["type"] == "value_error":
        return error["msg"].removeprefix("Value error, ").rstrip(".")
    if error["type"] == "string_pattern_mismatch":
        return f"must be {NAME_ALLOWED}, got {_shown(error['input'])}"
    if error["type"] == "too_short":
        return f"must hold at least {error['ctx']['min_length']}, got {_shown(error['input'])}"
    return f"{error['msg'][0].lower()}{error['msg'][1:]}, got {_shown(error['input'])}"


def _shown(value: Any) -> str:
    """A value in one short line; only the type of an object with a longer text."""
    text = " ".join(repr(value).split())
    if len(text) <= _LONG:
        return text
    return f"{text[:_LONG]}…" if isinstance(value, str | list | tuple | dict) else f"a {type(value).__name__}"


def _is_type_name(part: str | int) -> bool:
    """Whether a part of pydantic's path names an alternative of a union, such as `constrained-int`."""
    return isinstance(part, str) and (
        part in {"int", "float", "str", "bool"}
        or part.startswith(("constrained-", "function-", "union-", "tuple[", "dict[", "list[", "literal["))
    )


def _known_beside(location: Sequence[str | int], model: type[BaseModel]) -> str:
    """The closest of the keys that are known at `location`, or all of them."""
    for part in location[:-1]:
        field = model.model_fields.get(str(part))
        # What is not a field is the name of an arm: the values of the mapping are the next model.
        model = (field and _model_in(field.annotation)) or model
    keys = [*model.model_fields, *getattr(model, "short_forms", ())]
    near = closest(str(location[-1]), keys, 1)
    return f"did you mean {near[0]!r}?" if near else f"known here are {', '.join(keys)}"


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (_model_in(argument) for argument in getattr(annotation, "__args__", ()))
    return next((model for model in inner if model is not None), None)
