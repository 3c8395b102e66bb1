"""Modules made outside limbeck: the record of them in their folder, and how they are made again without pickle.

Saved are the weights, the arguments of `limbeck.wrap`, and, where that makes the same module again, the import path of
the class. Otherwise whoever loads the module gives its class, a function or a module.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any

from torch import nn

from limbeck.errors import UserError
from limbeck.import_paths import import_object, import_path_of
from limbeck.models.classifier import Classifier, as_size
from limbeck.models.description import describe
from limbeck.models.shared_memory import load_tensors, private_copy
from limbeck.models.taps import Taps
from limbeck.models.weights.record import MODULE, RECORDED
from limbeck.randomness import own_randomness
from limbeck.signatures import as_default, parameters

Module = nn.Module | Callable[..., Any]
_INPUTS = ("num_classes", "channels", "size")
_OF_LOADING = ("source", "model", "weights_key", "input_size", "mean", "std", "classes", "whitening")
_PLAIN = (bool, int, float, str)


def describe_wrapped(classifier: Classifier) -> dict[str, Any]:
    """What `config.json` holds for a module made outside limbeck, beside what it holds for all networks.

    Returns:
        `name` of its class, and `module`: its `path`, "package.module:Class", or None where that with `options` does
        not make the same module again; the `options`; its `taps`.
    """
    importable = _import_path(classifier.network, _inputs(vars(classifier)))
    path, options = importable or (None, {})
    return {"name": classifier.name, MODULE: {"path": path, "options": options, "taps": asdict(classifier.taps)}}


def make_again(
    config: Mapping[str, Any],
    record: Mapping[str, Any],
    model: str | Module | None,
    overrides: Mapping[str, Any],
    where: str,
    *,
    downloaded: bool,
) -> Classifier:
    """The network of a description, with arbitrary weights: made by `model`, or else by the recorded path.

    Args:
        config: the description.
        record: what is recorded of the network.
        model: class, function, module or import path; None takes the path of the description.
        overrides: arguments that override the record, and options.
        where: what messages call the place of the description.
        downloaded: whether it was downloaded, so that its path may not choose what is imported.

    Raises:
        UserError: nothing says how to make it, or making it fails.
    """
    name, about = config["name"], config.get(MODULE) or {"path": None, "options": config.get("options", {})}
    what = f"the {name} in {where!r}"
    if model is None and about["path"] is None:
        raise UserError(
            f"{where!r} holds a {name}, a module that was made outside limbeck, and no import path makes it again; "
            f"{how_to_give(name, where)}."
        )
    if model is None and downloaded:
        raise chosen_elsewhere(about["path"], name, where)
    module = _class_at(about["path"], name, where) if model is None else _module(model)
    properties = {key: value for key, value in {**record, **overrides}.items() if key in (*RECORDED, "whitening")}
    options = {key: value for key, value in overrides.items() if key not in properties}
    network = _make(module, what, _inputs(properties), _known_options(module, about["options"]) | options)
    return _classifier(network, _taps(about) if MODULE in config else None, properties)


def class_name(name: str) -> str:
    """The bare name in "my_pkg.networks:Net" or, for an object given in Python, "python:Net#12ab".

    Example:
        >>> class_name("my_pkg.networks:Net"), class_name("python:Net#12ab"), class_name("Net")
        ('Net', 'Net', 'Net')
    """
    return name.rpartition(":")[2].partition("#")[0].rpartition(".")[2]


def chosen_elsewhere(path: str, name: str, where: str) -> UserError:
    """The error for a downloaded description that names code on this machine."""
    return UserError(
        f"the {name} in {where!r} is made by code on this machine, {path!r}, and what was downloaded does not choose "
        f"what runs here. If that is right, say so: `lb.load_model({where!r}, model={path!r})`, or `--model`."
    )


def first_made(model: str | Module, overrides: Mapping[str, Any], where: str) -> Classifier:
    """A network for weights in a file without a record.

    Raises:
        UserError: it cannot be made, or `num_classes`, `mean` or `std` is missing.
    """
    module, what = _module(model), f"the network of {where!r}"
    properties = {key: value for key, value in overrides.items() if key in (*RECORDED, "whitening")}
    options = {key: value for key, value in overrides.items() if key not in properties}
    network = _make(module, what, _inputs(properties), options)
    if not isinstance(network, Classifier):
        check_known(properties, where)
    return _classifier(network, None, properties)


def check_known(properties: Mapping[str, Any], where: str, *, normalised: bool = True) -> None:
    """Raises a UserError where arguments do not say what the weights in a file were trained with."""
    needed = ("num_classes", "mean", "std") if normalised and "whitening" not in properties else ("num_classes",)
    absent = [key for key in needed if key not in properties]
    if absent:
        raise UserError(
            f"a weights file needs {' and '.join(f'`{key}`' for key in absent)} as in the training of {where!r}: "
            "a wrong normalisation ruins the outputs without any error. Give mean 0 and std 1 in every channel if the "
            "network took images in [0, 1]."
        )


def how_to_give(name: str, where: str = "...") -> str:
    """Advice for messages where nothing says how to make a module again."""
    return (
        f"give `lb.load_model({where!r}, model=make)`, where `make` is its class ({name}), a function that makes it "
        f"or a module like it, with options as in `width=16`; where there is only text, an import path, as `--model "
        f"my_package:{name}` (`model:` in recipes)"
    )


def _module(model: str | Module) -> Module:
    """The module, class or function itself, or what its import path leads to."""
    return import_object(model, "model") if isinstance(model, str) else model


def _class_at(path: str, name: str, where: str) -> type[nn.Module]:
    """The class at the path of a description; anything else is refused, not called."""
    try:
        return import_object(path, "path", fits=_is_class, allowed="the import path of a class of modules")
    except UserError as error:
        raise UserError(
            f"{where!r} says how its {name} is made again: {error} Or {how_to_give(name, where)}."
        ) from error


def _is_class(found: Any) -> bool:
    return isinstance(found, type) and issubclass(found, nn.Module)


def _make(model: Module, what: str, inputs: Mapping[str, Any], options: Mapping[str, Any]) -> nn.Module:
    """A module or `Classifier`, made by a class or function, or copied from a module."""
    if isinstance(model, nn.Module):
        if options:
            raise UserError(
                f"{', '.join(f'`{option}`' for option in options)} of {what} cannot be set: it is made already."
            )
        return private_copy(model, "model")
    if not callable(model):
        raise UserError(
            f"`model` must be a name, a class of modules, a function that makes one, or a module, got {model!r}."
        )
    name = getattr(model, "__name__", type(model).__name__)
    try:
        accepted = parameters(model)
        names = {parameter.name for parameter in accepted}
        if not isinstance(model, type) and any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted):
            names.add("num_classes")  # as functions of torchvision pass it on
        arguments = {key: value for key, value in inputs.items() if key in names and value is not None} | dict(options)
        with own_randomness(0, "weights"):
            module = model(**arguments)
    except UserError:
        raise
    except Exception as error:  # whatever the user's code does
        passed = ", ".join(f"{key}={value!r}" for key, value in {**inputs, **options}.items() if value is not None)
        raise UserError(
            f"{name} does not make {what} ({type(error).__name__}: {error}); known are {passed or 'no options'}. "
            f"{_lacking(model, name)}"
        ) from error
    if not isinstance(module, nn.Module):
        raise UserError(f"`model` must make a module, got {type(module).__name__} from {name}.")
    return module


def _lacking(model: Callable[..., Any], name: str) -> str:
    """Advice for a failed call; a parameter named like one of `load_model` cannot be passed by name."""
    try:
        reserved = [parameter.name for parameter in parameters(model) if parameter.name in _OF_LOADING]
    except (ValueError, TypeError):
        reserved = []
    if not reserved:
        return "Give what it lacks by name, or a function or module that needs nothing more."
    words = " and ".join(f"`{option}`" for option in reserved)
    example = f"lambda: {name}({', '.join(f'{option}=...' for option in reserved)})"
    return (
        f"It takes {words}, which `load_model` has of its own and does not pass on; give a function that needs "
        f"nothing more, as `model={example}`, or a module."
    )


def _known_options(model: Module, recorded: Mapping[str, Any]) -> dict[str, Any]:
    """The recorded options that the class or function still takes."""
    if isinstance(model, nn.Module) or not callable(model):
        return {}
    try:
        defaults = {parameter.name: parameter.default for parameter in parameters(model)}
    except (ValueError, TypeError):
        return {}
    return {key: as_default(value, defaults[key]) for key, value in recorded.items() if key in defaults}


def _inputs(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments that a function or class that makes a module may take; None where unknown."""
    size = properties.get("input_size")
    known = {"num_classes": properties.get("num_classes"), "channels": properties.get("channels")}
    return {**known, "size": None if size is None else as_size(size)}


def _classifier(made: nn.Module, taps: Taps | None, properties: Mapping[str, Any]) -> Classifier:
    """A classifier of a module, or of a `Classifier`, whose own properties `properties` override."""
    if not isinstance(made, Classifier):
        own = getattr(made, "taps", None)
        return Classifier(made, **properties, taps=taps or (own if isinstance(own, Taps) else None))
    own = {key: getattr(made, key) for key in ("num_classes", "channels", "input_size", "classes")}
    whitening = properties.get("whitening", None if properties.keys() & {"mean", "std"} else made.whitening)
    normalisation = zip(("mean", "std"), made.normalisation, strict=True) if whitening is None else ()
    return Classifier(
        made.network, **{**own, **dict(normalisation), **properties, "whitening": whitening}, taps=taps or made.taps
    )


def _taps(about: Mapping[str, Any]) -> Taps:
    """The taps in a description, where JSON has lists for tuples."""
    names = {field.name for field in fields(Taps)}
    arguments: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in about["taps"].items() if key in names
    }
    return Taps(**arguments)


def _import_path(network: nn.Module, inputs: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Import path of a module's class, and its options, where they make the same module except for its weights."""
    kind, options = type(network), _options(network)
    path = import_path_of(kind)
    if path is None or options is None:
        return None
    try:
        with warnings.catch_warnings(action="ignore"):  # the user has seen them already
            remade = _make(kind, "it", inputs, options)
        load_tensors(remade, network.state_dict())
        # Attributes are compared, too: with another activation, weights have the same shapes.
        same = describe(remade)[0] == describe(network)[0]
    except Exception:  # whatever a class raises that is not made for this must not end a run
        return None
    return (path, options) if same else None


def _options(network: nn.Module) -> dict[str, Any] | None:
    """Options that a module keeps as attributes of the same name; None where a required one is not among them."""
    try:
        accepted = [parameter for parameter in parameters(type(network)) if parameter.name not in _INPUTS]
    except (ValueError, TypeError):
        return None
    named = [
        parameter for parameter in accepted if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    options = {
        parameter.name: value for parameter in named if type(value := getattr(network, parameter.name, None)) in _PLAIN
    }
    needed = [parameter.name for parameter in named if parameter.default is parameter.empty]
    return None if set(needed) - options.keys() else options
