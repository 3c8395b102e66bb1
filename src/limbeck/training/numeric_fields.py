"""Numeric fields of settings refuse YAML's `yes`, though Python and pydantic take True for 1."""

from collections.abc import Iterator
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationInfo


def refuse_truth(cls: type[BaseModel], value: Any, info: ValidationInfo) -> Any:
    """A validator that runs first for all fields: fields of numbers alone refuse true and false, also in lists.

    Raises:
        ValueError: a bool where a number belongs.
    """
    truth = next((item for item in _flat(value) if isinstance(item, bool)), None)
    if truth is not None and _numbers_alone(cls.model_fields[str(info.field_name)].annotation):
        raise ValueError(f"must be a number, got {truth}")
    return value


def _flat(value: Any) -> Iterator[Any]:
    return iter(value if isinstance(value, list | tuple) else [value])


def _numbers_alone(annotation: Any) -> bool:
    """Whether a type allows only numbers, lists and tuples of numbers, and None."""
    if get_origin(annotation) is Annotated:
        return _numbers_alone(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return all(type(choice) in (int, float) for choice in get_args(annotation))
    # Words may stand beside numbers, such as "learned" for a rate.
    parts = [part for part in get_args(annotation) if part is not ... and not _words(part)]
    return all(map(_numbers_alone, parts)) if parts else annotation in (int, float, NoneType)


def _words(annotation: Any) -> bool:
    return get_origin(annotation) is Literal and all(isinstance(word, str) for word in get_args(annotation))
