"""Networks of the user's own: catalogue entries made from a module's class, or from a function that makes a module."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Literal, get_args, get_origin

from torch import nn

from limbeck.errors import UserError
from limbeck.foreign import check_remarks, errors_of
from limbeck.models.catalogue import ModelEntry
from limbeck.models.classifier import Classifier
from limbeck.models.options import Option
from limbeck.models.recorder import check_taps
from limbeck.models.taps import Taps
from limbeck.signatures import PLAIN, inputs_and_options, is_plain, parameters, summary_of

_SIZE = 32
_KINDS = {
    bool: "switch", int: "whole", float: "number", str: "text", list: "list", tuple: "list", type(None): "plain"
}  # fmt: skip
_TAKEN = ("input_size", "mean", "std", "whitening", "classes", "seed", "name")


def makes_model(part: Any) -> bool:
    """Whether a part is a class or a function of `num_classes`, as models are, and not a function of a seed.

    A function that takes keyword arguments alone, `**kwargs` among them, as torchvision's, can only be a model.

    Example:
        >>> makes_model(torch.nn.Linear), makes_model(lambda num_classes: ...), makes_model(lambda seed: ...)
        (True, True, False)
    """
    if isinstance(part, type):
        return True
    if isinstance(part, nn.Module) or not callable(part):
        return False
    with suppress(UserError):  # compiled code does not say what it takes
        accepted = parameters(part)
        names = {parameter.name for parameter in accepted}
        by_name = all(parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_KEYWORD) for parameter in accepted)
        passes_on = by_name and any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted)
        return ("num_classes" in names or passes_on) and "seed" not in names
    return False


def describe(name: str, part: Any, remarks: Mapping[str, Any]) -> ModelEntry:
    """The catalogue's entry of a network of the user's own.

    Args:
        name: its name.
        part: a class of modules, or a function that makes a module or a `Classifier` (see `limbeck.wrap`). It takes
            `num_classes`, which alone may also be passed to `**kwargs`; `channels`, if it supports several numbers; and
            `size`, the (height, width) of the images, if it is built for one size. Further parameters are options.
        remarks: `summary`; `channels` of a network that takes no other number, by default 3; its default `size`, by
            default 32; `embedding`, the path of the classifier head, by default the last linear layer; paths of the
            `stages`, shallow to deep.

    Raises:
        UserError: the part is neither, or options have no plain default.
    """
    what = f"model {name!r}"
    if (
        not callable(part)
        or (isinstance(part, type) and not issubclass(part, nn.Module))
        or isinstance(part, nn.Module)
    ):
        raise UserError(f"{what} must be a class of modules or a function that makes one, got {part!r}.")
    check_remarks(remarks, ("summary", "channels", "size", "embedding", "stages"), what)
    inputs, option_names = inputs_and_options(
        part, ("num_classes", "channels", "size"), what, passed_on=("num_classes",)
    )
    if "num_classes" not in inputs:
        named = str(getattr(part, "__name__", ""))
        called = named if named.isidentifier() else "make"
        raise UserError(
            f"{what} must take `num_classes`, got {', '.join((*inputs, *option_names)) or 'nothing'}. Write `def "
            f"net(num_classes): return {called}(...)` in a module of yours, with what `{called}` calls that, and name "
            "it 'module:net'."
        )
    options = {
        parameter.name: _option(parameter, what) for parameter in parameters(part) if parameter.name in option_names
    }
    size = remarks.get("size", _SIZE)
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise UserError(f"`size` of {what} must be a whole number of pixels >= 1, got {size!r}.")
    return ModelEntry(
        "own",
        None,
        str(remarks.get("summary", summary_of(part))),
        options,
        size if "size" in inputs else None,
        partial(build, part, what, tuple(inputs), dict(remarks)),
    )


def build(
    part: Callable[..., Any],
    what: str,
    inputs: tuple[str, ...],
    remarks: Mapping[str, Any],
    *,
    num_classes: int,
    channels: int,
    config: dict[str, Any],
    **rest: Any,
) -> Classifier:
    """The network, ready to use; `rest` are the other arguments of `Classifier` and options."""
    only = remarks.get("channels", 3)
    if "channels" not in inputs and channels != only:
        # `Classifier` converts images of other channels.
        channels = only
    common = {key: rest.pop(key, None) for key in ("input_size", "mean", "std", "classes", "whitening")}
    arguments = {"num_classes": num_classes, **({"channels": channels} if "channels" in inputs else {}), **rest}
    with errors_of(what):
        built = part(**arguments)
    if isinstance(built, Classifier):
        return _with_config(built, what, num_classes, config, common)
    if not isinstance(built, nn.Module):
        raise UserError(f"{what} must be a module or a `Classifier`, got {type(built).__name__}.")
    taps = _taps(built, remarks, num_classes)
    check_taps(built, taps)
    return Classifier(built, taps=taps, config=config, num_classes=num_classes, channels=channels, **common)


def _with_config(
    made: Classifier, what: str, num_classes: int, config: dict[str, Any], common: Mapping[str, Any]
) -> Classifier:
    """The same network with the arguments of `create`; what these leave out stays as its author has it."""
    if made.num_classes != num_classes:
        raise UserError(f"{what} must tell {num_classes} classes apart (`num_classes`), got {made.num_classes}.")
    whitening = common["whitening"] or (None if common["mean"] or common["std"] else made.whitening)
    mean, std = made.normalisation if whitening is None else (None, None)
    return Classifier(
        made.network,
        num_classes=num_classes,
        channels=made.channels,
        input_size=common["input_size"] or made.input_size,
        mean=common["mean"] or mean,
        std=common["std"] or std,
        classes=common["classes"] or made.classes,
        whitening=whitening,
        taps=made.taps,
        config=config,
    )


def _taps(module: nn.Module, remarks: Mapping[str, Any], num_classes: int) -> Taps:
    """The taps given on registration; else the module's own; else the input of its last linear layer."""
    stages = remarks.get("stages", ())
    if "embedding" in remarks or stages:
        return Taps(remarks.get("embedding", _head(module, num_classes)), tuple(stages))
    own = getattr(module, "taps", None)
    return own if isinstance(own, Taps) else Taps(_head(module, num_classes))


def _head(module: nn.Module, num_classes: int) -> str | None:
    layers = {path: layer for path, layer in module.named_modules() if isinstance(layer, nn.Linear) and path}
    return next((path for path, layer in reversed(layers.items()) if layer.out_features == num_classes), None)


def _option(one: Any, what: str) -> Option:
    default = float(one.default) if one.annotation is float and type(one.default) is int else one.default
    if one.name in _TAKEN:
        raise UserError(f"an option of {what} cannot be called `{one.name}`, which every model has.")
    if get_origin(one.annotation) is Literal and all(isinstance(choice, str) for choice in get_args(one.annotation)):
        return Option("choice", default, "", get_args(one.annotation))
    if type(default) not in _KINDS or (isinstance(default, list | tuple) and not is_plain(default)):
        raise UserError(f"option `{one.name}` of {what} must be {PLAIN}, got {default!r}.")
    return Option(_KINDS[type(default)], default, "")
