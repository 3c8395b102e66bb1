"""The settings of training as keyword arguments, for functions that take them as `**training`."""

from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, signature
from typing import Any, Literal, TypedDict, TypeVar

from limbeck.training.settings import Sharpness, TrainingSettings

Function = TypeVar("Function", bound=Callable[..., Any])


class TrainingArguments(TypedDict, total=False):
    """Types of the fields of `TrainingSettings` (see there), for type checkers and editors."""

    steps: int | None
    epochs: float | None
    batch_size: int
    optimizer: str | Callable[..., Any] | Mapping[Any, Any]
    learning_rate: float | Literal["learned"]
    momentum: float
    nesterov: bool
    weight_decay: float
    clip_norm: float | None
    sharpness: Sharpness | Mapping[str, Any] | None
    schedule: str | Callable[..., Any] | Mapping[Any, Any]
    warmup: float
    milestones: Sequence[float]
    decay: float
    cooldown: float
    views: str | Callable[..., Any] | Mapping[Any, Any] | Sequence[str | Callable[..., Any] | Mapping[Any, Any]]
    normalised_views: (
        str | Callable[..., Any] | Mapping[Any, Any] | Sequence[str | Callable[..., Any] | Mapping[Any, Any]] | None
    )
    views_per_image: int | None
    cache: bool | Mapping[str, Any]
    validations: int
    precision: Literal["auto", "bf16", "fp32"]
    channels_last: bool | Literal["auto"]
    compile: bool | Literal["graphs"]
    checkpoint_seconds: float


def showing_settings(function: Function) -> Function:
    """Has `help` and prompts show and complete the settings and their defaults instead of `**training`.

    The function itself still handles unknown names.
    """
    shown = signature(function)
    own = [parameter for parameter in shown.parameters.values() if parameter.kind is not Parameter.VAR_KEYWORD]
    types = TrainingArguments.__annotations__
    settings = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=field.get_default(), annotation=types[name])
        for name, field in TrainingSettings.model_fields.items()
    ]
    function.__signature__ = shown.replace(parameters=[*own, *settings])  # pyright: ignore[reportFunctionMemberAccess]
    return function
