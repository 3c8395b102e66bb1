"""Options of a model and their allowed values, checked before anything is built. torch is not imported."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from limbeck.errors import UserError, unknown_name
from limbeck.signatures import PLAIN, as_default, is_plain


@dataclass(frozen=True)
class Option:
    """One option of a model.

    Attributes:
        kind: `choice`, `count` (a whole number >= 1), `share` (a number in [0, 1)), `switch`, `paths` (module paths)
            or `mapping`; `whole`, `number`, `text`, `list` and `plain` (any of these, where none is the default) of
            networks of the user's own.
        default: the value if the user gives none.
        summary: what it does, a few words.
        choices: what a `choice` may be.
    """

    kind: str
    default: Any
    summary: str
    choices: tuple[str, ...] = ()

    @property
    def allowed(self) -> str:
        words = {
            "choice": "one of " + ", ".join(self.choices),
            "count": "a whole number >= 1",
            "share": "a number in [0, 1)",
            "switch": "true or false",
            "paths": "a list of module paths",
            "mapping": "a mapping of names to values",
            "whole": "a whole number",
            "number": "a finite number",
            "text": "text",
            "list": "a list of numbers, texts, true or false",
            "plain": PLAIN,
        }
        return words[self.kind]

    def fits(self, value: Any) -> bool:
        match self.kind:
            case "choice":
                return value in self.choices
            case "count":
                return isinstance(value, int) and not isinstance(value, bool) and value >= 1
            case "share":
                return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1
            case "switch":
                return isinstance(value, bool)
            case "paths":
                return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
            case "whole":
                return isinstance(value, int) and not isinstance(value, bool)
            case "number":
                return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
            case "text":
                return isinstance(value, str)
            case "list":
                return isinstance(value, list | tuple) and is_plain(value)
            case "plain":
                return is_plain(value)
            case _:
                return isinstance(value, Mapping)

    def taken(self, value: Any) -> Any:
        """An allowed value in the type that the model takes; files bring tuples as lists."""
        return as_default(value, self.default) if self.kind == "list" else value


def check_options(model: str, known: Mapping[str, Option], options: Mapping[str, Any]) -> dict[str, Any]:
    """All options of `model`, with defaults filled in.

    Raises:
        UserError: an option that the model does not have, or a value that it does not allow.

    Example:
        >>> known = lb.models.catalogue.MODELS["convnet_d3"].options
        >>> check_options("convnet_d3", known, {"width": 64})
        {'width': 64, 'norm': 'instance', 'pooling': 'average', 'activation': 'relu'}
    """
    for name, value in options.items():
        if name not in known:
            has = f"{model} has {', '.join(known)}." if known else f"{model} has no options."
            raise unknown_name("model option", name, known, has)
        if not known[name].fits(value):
            raise UserError(f"option `{name}` of {model} must be {known[name].allowed}, got {value!r}.")
    return {name: option.taken(options.get(name, option.default)) for name, option in known.items()}
