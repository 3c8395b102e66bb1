"""What a function or class says of itself: its options, its inputs and a summary."""

import inspect
import math
from collections.abc import Callable, Collection
from typing import Any

from limbeck.errors import UserError

Options = dict[str, Any]


def summary_of(part: object) -> str:
    """The first line of a docstring of its own, without the full stop; "" where there is none.

    Example:
        >>> summary_of(summary_of)
        'The first line of a docstring of its own, without the full stop; "" where there is none'
    """
    text = inspect.cleandoc(getattr(part, "__doc__", None) or "")
    inherited = isinstance(part, type) and "__doc__" not in vars(part)
    return "" if inherited or not text else text.splitlines()[0].rstrip(".")


def inputs_and_options(
    part: Callable[..., Any], known: Collection[str], what: str, *, passed_on: Collection[str] = ()
) -> tuple[list[str], Options]:
    """Parameters among the `known` inputs, in their order, and the others with their defaults.

    Args:
        part: a function or a class.
        known: names that are inputs, whether or not they have a default.
        what: how messages name the part.
        passed_on: inputs that `**kwargs` take, less those with a parameter of their own; if empty, `**kwargs` are
            refused.

    Raises:
        UserError: a parameter that is no input and has no default, or one that takes any number of values.
    """
    inputs, options = [], {}
    for parameter in parameters(part):
        if passed_on and parameter.kind is parameter.VAR_KEYWORD:  # the last parameter
            inputs += [name for name in passed_on if name not in inputs]
            continue
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            kind = "is positional only" if parameter.kind is parameter.POSITIONAL_ONLY else "takes any number of values"
            raise UserError(f"{what} takes its inputs and options by name, and its parameter `{parameter}` {kind}.")
        if parameter.name in known:
            inputs.append(parameter.name)
        elif parameter.default is parameter.empty:
            names = f" is none of its inputs ({', '.join(sorted(known))}) and" if known else ""
            raise UserError(f"parameter `{parameter.name}` of {what}{names} must have a default, as options do.")
        else:
            options[parameter.name] = default_of(parameter)
    return inputs, options


def parameters(part: Callable[..., Any]) -> list[inspect.Parameter]:
    """Of a function, or of a class's `__init__` without `self`; annotations are evaluated where they can be."""
    try:
        return [*inspect.signature(part, eval_str=True).parameters.values()]
    except Exception:  # an annotation may be any code, and may use names that only type checkers see
        pass
    try:
        return [*inspect.signature(part).parameters.values()]
    except (TypeError, ValueError):  # compiled code
        raise UserError(f"{part!r} does not say what its parameters are; write a function around it.") from None


def default_of(one: inspect.Parameter) -> Any:
    """The default, a whole number as a float where the annotation says so: `temperature: float = 4`."""
    is_whole = isinstance(one.default, int) and not isinstance(one.default, bool)
    return float(one.default) if is_whole and one.annotation is float else one.default


def check_option(name: str, value: Any, default: Any, what: str) -> None:
    """Raises a UserError for a value of another type than the default's, if that is a bool, str, float or int."""
    kinds = {bool: "true or false", str: "text", float: "a finite number", int: "a whole number"}
    described = kinds.get(type(default))
    if described is None:
        return
    expected = (int, float) if type(default) is float else type(default)
    fits = isinstance(value, expected) and isinstance(value, bool) == isinstance(default, bool)
    if not fits or (isinstance(value, float) and not math.isfinite(value)):
        raise UserError(f"`{name}` of {what} must be {described}, got {value!r}.")


PLAIN = "a number, true or false, text, null, or a list of these"
"""What the defaults of the user's own options may be, in words."""


def is_plain(value: Any) -> bool:
    """Whether a recipe can hold a value and give it back: one of `PLAIN`, with finite numbers alone.

    Example:
        >>> is_plain(None), is_plain((8, 16)), is_plain([float("nan")]), is_plain(print)
        (True, True, False, False)
    """
    if isinstance(value, list | tuple):
        return all(is_plain(element) and not isinstance(element, list | tuple) for element in value)
    return value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value))


def is_int_or_float(value: object) -> bool:
    """Whether `value` is an int or a float, which true and false are not; NaN and infinity are.

    Example:
        >>> is_int_or_float(1), is_int_or_float(float("nan")), is_int_or_float(True), is_int_or_float("1")
        (True, True, False, False)
    """
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_default(name: str, default: Any, what: str) -> None:
    """Raises a UserError for a default that is not one of `PLAIN`."""
    if not (is_plain(default) or isinstance(default, float)):
        raise UserError(f"option `{name}` of {what} must be {PLAIN}, got {default!r}.")


def as_default(value: Any, default: Any) -> Any:
    """A list of a recipe as a tuple, where the default is one.

    Example:
        >>> as_default([8, 16], (4,)), as_default([8, 16], [4])
        ((8, 16), [8, 16])
    """
    return tuple(value) if isinstance(default, tuple) and isinstance(value, list) else value


def checked_value(name: str, value: Any, default: Any, what: str) -> Any:
    """The value of an option whose default is one of `PLAIN`, as the part takes it.

    Raises:
        UserError: it is of another kind than the default; where that is null, anything of `PLAIN` will do.
    """
    check_option(name, value, default, what)
    if isinstance(default, list | tuple) and not (isinstance(value, list | tuple) and is_plain(value)):
        raise UserError(f"`{name}` of {what} must be a list of numbers, texts, true or false, got {value!r}.")
    if default is None and not is_plain(value):
        raise UserError(f"`{name}` of {what} must be {PLAIN}, got {value!r}.")
    return as_default(value, default)
