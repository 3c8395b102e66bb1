"""The arguments for training settings match the settings themselves."""

import inspect
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest

import limbeck as lb
from limbeck.training.arguments import TrainingArguments


def test_arguments_are_the_settings() -> None:
    assert list(TrainingArguments.__annotations__) == list(lb.TrainingSettings.model_fields)


@pytest.mark.parametrize("name", lb.TrainingSettings.model_fields)
def test_types_of_arguments_are_those_of_settings(name: str) -> None:
    """The part of a hint that type checkers can check: choices, numbers and None."""
    mine, theirs = simple(TrainingArguments.__annotations__[name]), simple(lb.TrainingSettings.model_fields[name])
    if name not in ("optimizer", "schedule", "views", "normalised_views", "sharpness", "cache", "milestones"):
        assert mine == theirs


def simple(hint: Any) -> set[Any]:
    """Types and choices in a hint, without bounds."""
    hint = getattr(hint, "annotation", hint)
    if get_origin(hint) is Annotated:
        return simple(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        return {kind for part in get_args(hint) for kind in simple(part)}
    return {*get_args(hint)} if get_origin(hint) is Literal else {NoneType if hint is None else hint}


def test_prompts_see_every_setting_and_its_default() -> None:
    parameters = inspect.signature(lb.distill).parameters
    assert {"teacher", "out", "progress"} <= {*parameters}
    for name, field in lb.TrainingSettings.model_fields.items():
        assert parameters[name].default == field.get_default()
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
    assert "training" not in parameters
