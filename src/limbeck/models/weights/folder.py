"""Classifiers in and out: folders of ours, files of others, published weights by name."""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from limbeck.data.tensor_files import read_tensors, write_tensors
from limbeck.errors import UserError, unknown_name
from limbeck.files import atomic_folder
from limbeck.models.catalogue import MODELS, TIMM_PREFIX, canonical
from limbeck.models.classifier import Classifier, Size
from limbeck.models.published import NAMED, named_state
from limbeck.models.reused_head import with_fresh_reused_head
from limbeck.models.weights.adapt import check_finite, load_state
from limbeck.models.weights.read import SUFFIXES
from limbeck.models.whitening import Whitening
from limbeck.models.zoo import create, create_timm

CONFIG_FILE, WEIGHTS_FILE, WHITENING_FILE = "config.json", "model.safetensors", "whitening.safetensors"
FORMAT = "limbeck-classifier"
VERSION, VERSION_WITH_WHITENING = 1, 2
"""A version that knows of no whitening must not show such a network images as they are."""
_RECORDED = ("num_classes", "classes", "channels", "input_size", "mean", "std")


def save(classifier: Classifier, folder: str | Path) -> None:
    """Write `model.safetensors`, `config.json` and, of a network that takes whitened images, `whitening.safetensors`,
    whole or not at all.

    An older classifier in `folder` is replaced and stays intact should anything go wrong.

    Raises:
        UserError: a wrapped module, which no name could rebuild; NaN or infinity in the weights; `folder` holds
            something else; the disk is full or forbidden.

    Example:
        >>> save(student, "students/small")
        >>> sorted(one.name for one in Path("students/small").iterdir())
        ['config.json', 'model.safetensors']
    """
    folder = Path(folder)
    if classifier.config is None:
        raise UserError(
            f"{classifier.name} was made outside limbeck, so no name rebuilds it; save its weights by "
            "`safetensors.torch.save_model(classifier.network, path)` and, later, put them into a fresh module by "
            "`load_state`."
        )
    if folder.exists() and not (
        folder.is_dir() and {one.name for one in folder.iterdir()} <= {CONFIG_FILE, WEIGHTS_FILE, WHITENING_FILE}
    ):
        raise UserError(f"{str(folder)!r} holds something else than a saved classifier and is not overwritten.")
    # Copies, because safetensors refuses tensors that share memory, as tied weights do.
    state = {
        key: value.detach().to("cpu", memory_format=torch.contiguous_format, copy=True)
        for key, value in classifier.network.state_dict().items()
    }
    check_finite(state, classifier.name)
    name = classifier.config["name"]
    own = None if name in MODELS.built_in else MODELS.find(name)
    config = {
        "format": FORMAT,
        "version": VERSION if classifier.whitening is None else VERSION_WITH_WHITENING,
        **classifier.config,
        **({} if own is None else {"from": own.source}),
        "num_classes": classifier.num_classes,
        "classes": list(classifier.classes),
        "channels": classifier.channels,
        "input_size": classifier.input_size and list(classifier.input_size),
        "mean": classifier.normalisation[0],
        "std": classifier.normalisation[1],
    }
    with atomic_folder(folder, replace=True) as temporary:
        (temporary / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        # `save_file` would report a full disk as an error of its own kind.
        (temporary / WEIGHTS_FILE).write_bytes(safetensors.torch.save(state, metadata={"format": "pt"}))
        if classifier.whitening is not None:
            write_tensors(temporary / WHITENING_FILE, classifier.whitening.tensors())


def load(
    source: str | Path,
    *,
    model: str | None = None,
    weights_key: str | None = None,
    num_classes: int | None = None,
    channels: int | None = None,
    input_size: Size | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    classes: Sequence[str] = (),
    **options: Any,
) -> Classifier:
    """A classifier with trained weights, in eval mode.

    Args:
        source: a folder that `save` wrote; a folder in the hub's format of timm; a weights file, with `model`; as a
            string also the name of published weights, as in `cifar10-resnet56`, or `timm:<name>` for pretrained weights
            of timm.
        model: name of the model that the weights of a file are for; elsewhere it is only checked.
        weights_key: which of several sets of weights in a file to take, as "model_ema" or "teacher"; see `load_state`.
        num_classes: what the weights of a file were trained for; elsewhere it is only checked, but for timm, where
            another number starts a fresh head.
        mean, std: normalisation that the weights of a file were trained with; overrides what is on record elsewhere.
        channels, input_size, classes, options: as in `create`, `whitening` among them; what is not given comes from the
            record.

    Raises:
        UserError: nothing of that name, weights that do not fit, and whatever `create` and `load_state` raise.

    Example:
        >>> save(student, "students/other")
        >>> load("students/other").name
        'convnet_d3'
        >>> torch.save(lb.create("resnet8", num_classes=100).network.state_dict(), "resnet8.pth")
        >>> load("resnet8.pth", model="resnet8", num_classes=100, mean=(0.5,) * 3, std=(0.25,) * 3).num_classes
        100
    """
    overrides: dict[str, Any] = {
        "num_classes": num_classes,
        "channels": channels,
        "input_size": input_size,
        "mean": mean,
        "std": std,
        "classes": tuple(classes) or None,
    }
    overrides = {key: value for key, value in overrides.items() if value is not None} | options
    path = Path(source)
    name = source.casefold() if isinstance(source, str) else ""  # a `Path` is a path
    if name in NAMED and path.exists():
        warnings.warn(
            f"{source!r} names published weights and a {'folder' if path.is_dir() else 'file'} here. The published "
            f"were taken; './{source}' is what is here.",
            stacklevel=2,
        )
    if weights_key is not None and (name in NAMED or not path.is_file()):
        raise UserError(f"`weights_key` is about a file with several sets of weights, and {str(source)!r} is none.")
    if name in NAMED:
        classifier = _load_named(name, model, overrides)
    elif name.startswith(TIMM_PREFIX):
        classifier = _load_timm(canonical(str(source)), model, overrides)
    elif path.is_dir():
        classifier = _load_folder(path, model, overrides)
    elif path.is_file() or path.suffix in SUFFIXES:
        classifier = _load_file(path, model, overrides, weights_key)
    elif path.parent == Path() and name and not name.startswith("."):
        hint = "A folder that `limbeck` saved, a weights file, or `timm:<name>` will do, too."
        raise unknown_name("weights", str(source), NAMED, hint)
    else:
        raise UserError(f"no classifier at {str(source)!r}: no such folder or file.")
    return classifier.eval()


def _load_named(name: str, model: str | None, overrides: dict[str, Any]) -> Classifier:
    weights = NAMED[name]
    _check_record(name, weights.model, len(weights.classes), model, overrides)
    record = {"mean": weights.mean, "std": weights.std, "classes": weights.classes, "num_classes": len(weights.classes)}
    classifier = create(weights.model, **(record | overrides))
    load_state(classifier, named_state(weights), source=weights.file)
    return classifier


def _load_timm(name: str, model: str | None, overrides: dict[str, Any]) -> Classifier:
    if model is not None and model != name:
        raise UserError(f"{name!r} holds a {name}, so `model` must be that or left out, got {model!r}.")
    return create_timm(name, **({"num_classes": None, "pretrained": True} | overrides))


def _load_folder(folder: Path, model: str | None, overrides: dict[str, Any]) -> Classifier:
    config = _read_config(folder)
    if "architecture" in config:
        return _load_hub_folder(folder, config, model, overrides)
    record = {key: config[key] for key in _RECORDED}
    if config["version"] == VERSION_WITH_WHITENING:
        _check_whitened(folder, overrides)
        record |= {"mean": None, "std": None, "whitening": Whitening.of_tensors(read_tensors(folder / WHITENING_FILE))}
    if "from" in config and config["name"] not in MODELS:
        raise UserError(
            f"{str(folder)!r} holds a {config['name']}, which limbeck does not know: it was that of {config['from']}. "
            "Install the package, or register the model again."
        )
    _check_record(str(folder), config["name"], config["num_classes"], model, overrides)
    classifier = create(config["name"], **(record | config["options"] | overrides))
    if "reused_head" in config:
        classifier = with_fresh_reused_head(classifier, config["reused_head"])
    load_state(classifier, folder / WEIGHTS_FILE)
    return classifier


def _check_whitened(folder: Path, overrides: dict[str, Any]) -> None:
    """Raises a UserError for another normalisation or size than whitening has."""
    beside = [f"`{key}`" for key in ("mean", "std", "channels", "input_size") if key in overrides]
    if beside:
        raise UserError(
            f"the network in {str(folder)!r} takes images whitened as {WHITENING_FILE} says; leave out "
            f"{' and '.join(beside)}."
        )


def _load_hub_folder(folder: Path, config: dict[str, Any], model: str | None, overrides: dict[str, Any]) -> Classifier:
    _check_record(str(folder), f"{TIMM_PREFIX}{config['architecture']}", None, model, overrides)
    arguments = dict(config.get("model_args") or {})
    # Said by `channels` and by the size of the head.
    channels = arguments.pop("in_chans", 3)
    arguments.pop("num_classes", None)
    record = {"num_classes": None, "channels": channels, "pretrained": True, "arguments": arguments}
    return create_timm(f"{TIMM_PREFIX}local-dir:{folder}", **(record | overrides))


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise UserError(f"{str(folder)!r} holds no {CONFIG_FILE}; give a folder that limbeck saved, or a weights file.")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{str(path)!r} is no JSON ({error}).") from error
    if isinstance(config, dict) and "architecture" in config:
        return config
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise UserError(
            f"{str(path)!r} was written neither by limbeck nor by timm; give the weights file in it with `model`, or "
            "wrap the module in Python."
        )
    if config.get("version") not in (VERSION, VERSION_WITH_WHITENING):
        raise UserError(
            f"{str(path)!r} has format version {config.get('version')}, this limbeck reads {VERSION} and "
            f"{VERSION_WITH_WHITENING}; update limbeck."
        )
    absent = [key for key in ("name", "options", *_RECORDED) if key not in config]
    if absent:
        raise UserError(f"{str(path)!r} lacks {', '.join(absent)}; save the classifier again.")
    return config


def _load_file(path: Path, model: str | None, overrides: dict[str, Any], weights_key: str | None) -> Classifier:
    if path.name == WEIGHTS_FILE and model is None and (path.parent / CONFIG_FILE).is_file():
        return _load_folder(path.parent, model, overrides)
    if model is None:
        raise UserError(f"a weights file needs `model`, the name of the network that {str(path)!r} is for.")
    model = canonical(model)
    normalised = not model.startswith(TIMM_PREFIX) and "whitening" not in overrides
    needed = ("num_classes", "mean", "std") if normalised else ("num_classes",)
    absent = [key for key in needed if key not in overrides]
    if absent:
        raise UserError(
            f"a weights file needs {' and '.join(f'`{key}`' for key in absent)} as in the training of {str(path)!r}: "
            "a wrong normalisation ruins the outputs without any error. Give mean 0 and std 1 in every channel if the "
            "network took images in [0, 1]."
        )
    classifier = create(model, **overrides)
    load_state(classifier, path, weights_key=weights_key)
    return classifier


def _check_record(
    source: str, name: str, num_classes: int | None, model: str | None, overrides: dict[str, Any]
) -> None:
    if model is not None and canonical(model) != canonical(name):
        raise UserError(f"{source!r} holds a {name}, so `model` must be that or left out, got {model!r}.")
    got = overrides.get("num_classes", num_classes)
    if num_classes is not None and got != num_classes:
        raise UserError(f"{source!r} has {num_classes} classes, so `num_classes` must be that or left out, got {got}.")
