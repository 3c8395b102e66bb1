"""Saves and loads classifiers: limbeck's folders, foreign files, published weights by name, repositories on the hub."""

import json
import warnings
from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from limbeck.data.tensor_files import read_tensors, write_tensors
from limbeck.errors import UserError, unknown_name
from limbeck.files import atomic_folder
from limbeck.import_paths import is_import_path, look_where_found
from limbeck.models.catalogue import MODELS, TIMM_PREFIX, canonical
from limbeck.models.classifier import Classifier, Size
from limbeck.models.published import NAMED, named_state
from limbeck.models.reused_head import with_fresh_reused_head
from limbeck.models.weights.adapt import check_finite, load_state
from limbeck.models.weights.read import SUFFIXES
from limbeck.models.weights.record import (
    CLASSES_FILE,
    CONFIG_FILE,
    MODULE,
    RECORDED,
    SAVED_FILES,
    VERSION_WITH_WHITENING,
    WEIGHTS_FILE,
    WHITENING_FILE,
    read_record,
    record_of,
)
from limbeck.models.weights.sources import ALLOWED, HUB, download, no_network, repository, student_folder
from limbeck.models.weights.wrapped import (
    Module,
    check_known,
    chosen_elsewhere,
    class_name,
    describe_wrapped,
    first_made,
    how_to_give,
    make_again,
)
from limbeck.models.whitening import Whitening
from limbeck.models.zoo import create, create_timm


def save(classifier: Classifier, folder: str | Path, *, taught_size: tuple[int, int] | None = None) -> None:
    """Writes `model.safetensors`, `config.json` and, for a network that takes whitened images,
    `whitening.safetensors`, whole or not at all.

    An older classifier in `folder` is replaced, and stays intact if anything goes wrong.

    A module that was made outside limbeck is saved with the import path of its class, where that makes the same module
    again; else `load` needs its class, a function or a module, and says so. Nothing is pickled.

    Args:
        classifier: to save.
        folder: holds nothing else.
        taught_size: (height, width) of the images that it was taught with, to which verbs resize others for a network
            that takes any size; None where it is not known.

    Raises:
        UserError: NaN or infinity in the weights; `folder` holds something else; the disk is full or forbidden.

    Example:
        >>> save(student, "students/small")
        >>> sorted(one.name for one in Path("students/small").iterdir())
        ['config.json', 'model.safetensors']
    """
    folder = Path(folder)
    if folder.exists() and not (folder.is_dir() and {entry.name for entry in folder.iterdir()} <= SAVED_FILES):
        raise UserError(f"{str(folder)!r} holds something else than a saved classifier and is not overwritten.")
    # Copied, because safetensors refuses tensors that share memory, as tied weights do.
    state = {
        key: value.detach().to("cpu", memory_format=torch.contiguous_format, copy=True)
        for key, value in classifier.network.state_dict().items()
    }
    check_finite(state, classifier.name)
    config = record_of(classifier, _making(classifier), taught_size)
    with atomic_folder(folder, replace=True) as temporary:
        (temporary / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        # `save_file` would report a full disk by an error of its own.
        (temporary / WEIGHTS_FILE).write_bytes(safetensors.torch.save(state, metadata={"format": "pt"}))
        if classifier.whitening is not None:
            write_tensors(temporary / WHITENING_FILE, classifier.whitening.tensors())


def _making(classifier: Classifier) -> dict[str, Any]:
    """The record of how a network is made again: by a model's name, or as a module from outside limbeck."""
    if classifier.config is None:
        return describe_wrapped(classifier)
    name = classifier.config["name"]
    registered = None if name in MODELS.built_in else MODELS.find(name)
    return {**classifier.config, **({} if registered is None else {"from": registered.source})}


def load(
    source: str | Path,
    *,
    model: str | Module | None = None,
    weights_key: str | None = None,
    num_classes: int | None = None,
    channels: int | None = None,
    input_size: Size | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    classes: Sequence[str] = (),
    **options: Any,
) -> Classifier:
    """A classifier with trained weights, in eval mode; the verbs and recipes take the same.

    Args:
        source: a run folder, for its student after the last step (`<run>/student-chosen` is the validation-chosen
            one); a folder that `save` wrote; a folder in the hub's format of timm; a weights file, with `model`; as a
            string also the name of published weights, as in `cifar10-resnet56`, `timm:<name>` for pretrained weights
            of timm, or `owner/name` of a repository on the hub that `limbeck push` or timm filled (downloaded once;
            `hub:owner/name` where there is a folder `owner`).
        model: name of the model that the weights of a file are for; elsewhere it is only checked. For a module that was
            made outside limbeck, where its folder does not say how it is made: its class, a function that makes it, a
            module, or the import path of one of these, "my_package:Net". `num_classes`, `channels` and `size` are
            passed to parameters of these names, and so are `options`. A given module is not changed.
        weights_key: which of several sets of weights in a file to take, as "model_ema" or "teacher"; see `load_state`.
        num_classes: what the weights of a file were trained for; elsewhere it is only checked, except for timm, where
            another number starts a fresh head.
        mean, std: normalisation that the weights of a file were trained with; elsewhere they override the record.
        channels, input_size, classes, options: as in `create`, `whitening` among them; by default from the record.

    Raises:
        UserError: nothing of that name, weights that do not fit, a module without a record of how to make it, and
            whatever `create` and `load_state` raise.

    Example:
        >>> load("runs/teacher").name
        'convnet_d3'
        >>> torch.save(lb.create("resnet8", num_classes=100).network.state_dict(), "resnet8.pth")
        >>> load("resnet8.pth", model="resnet8", num_classes=100, mean=(0.5,) * 3, std=(0.25,) * 3).num_classes
        100
        >>> layers = lambda: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
        >>> mine = lb.wrap(layers(), num_classes=10, input_size=8, channels=1, mean=(0.5,), std=(0.25,))
        >>> save(mine, "students/mine")
        >>> load("students/mine", model=layers).normalisation
        ((0.5,), (0.25,))
    """
    if isinstance(classes, str) or not isinstance(classes, Iterable):
        raise UserError(
            f"`classes` must be the names of the classes, got {classes!r}; how many there are is `num_classes`."
        )
    overrides: dict[str, Any] = {
        "num_classes": num_classes,
        "channels": channels,
        "input_size": input_size,
        "mean": mean,
        "std": std,
        "classes": tuple(classes) or None,
    }
    overrides = {key: value for key, value in overrides.items() if value is not None} | options
    if isinstance(source, nn.Module):
        raise UserError(
            f"`source` must be weights by name or path, got a {type(source).__name__}, which is a network already: "
            "`lb.save_model` saves a Classifier, and `lb.wrap` makes one of a module."
        )
    if not isinstance(source, str | PathLike):
        raise UserError(f"`source` must be weights by name or path, got a {type(source).__name__}. {ALLOWED}")
    path = Path(source).expanduser()
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
        classifier = _load_folder(student_folder(path), model, overrides, called=str(source))
    elif path.is_file() or (path.suffix in SUFFIXES and not name.startswith(HUB)):
        classifier = _load_file(path, model, overrides, weights_key)
    elif hub_name := repository(source):
        classifier = _load_folder(download(hub_name), model, overrides, repository=hub_name)
    else:
        raise _nothing_there(source)
    return classifier.eval()


def as_classifier(
    network: Classifier | str | Path, argument: str, load: Callable[[str | Path], Classifier] = load
) -> Classifier:
    """A classifier as it is, or loaded by name or path.

    Args:
        network: a classifier, or a name or path.
        argument: what messages call it.
        load: loads it by name or path.

    Raises:
        UserError: it is neither; see `load`.

    Example:
        >>> as_classifier("runs/teacher", "teacher").name
        'convnet_d3'
    """
    if isinstance(network, Classifier):
        return network
    if isinstance(network, nn.Module):
        raise UserError(
            f"`{argument}` must be a Classifier or weights by name or path, got a bare {type(network).__name__}; "
            "`lb.wrap(module, num_classes=..., input_size=..., mean=..., std=...)` says how it is used rightly."
        )
    if not isinstance(network, str | Path):
        raise UserError(
            f"`{argument}` must be a Classifier, or weights by name or path, got a {type(network).__name__}."
        )
    return load(network)


def _nothing_there(source: str | Path) -> UserError:
    name = str(source)
    if isinstance(source, Path) or Path(name).parent != Path() or not name or name.startswith("."):
        return UserError(f"no classifier at {name!r}: no such folder or file. {ALLOWED}")
    if name.casefold() in {model.casefold() for model in MODELS}:
        return UserError(
            f"{name!r} names a model, which has no weights of its own; give a file of them with `model={name!r}`, or "
            f"make a fresh one by `lb.create`. {ALLOWED}"
        )
    return unknown_name("weights", name, NAMED, f"There is no folder or file of this name, either. {ALLOWED}")


def _load_named(name: str, model: str | Module | None, overrides: dict[str, Any]) -> Classifier:
    weights = NAMED[name]
    _check_model(name, weights.model, model)
    _check_classes(name, len(weights.classes), overrides)
    record = {"mean": weights.mean, "std": weights.std, "classes": weights.classes, "num_classes": len(weights.classes)}
    classifier = create(weights.model, **(record | overrides))
    load_state(classifier, named_state(weights), source=weights.file)
    return classifier


def _load_timm(name: str, model: str | Module | None, overrides: dict[str, Any]) -> Classifier:
    if model is not None and model != name:
        raise UserError(f"{name!r} holds a {name}, so `model` must be that or left out, got {model!r}.")
    return create_timm(name, **({"num_classes": None, "pretrained": True} | overrides))


def _load_folder(
    folder: Path, model: str | Module | None, overrides: dict[str, Any], *, called: str = "", repository: str = ""
) -> Classifier:
    """A classifier from a folder that messages call `called`; `repository` is where it was downloaded from."""
    if not (folder / CONFIG_FILE).is_file():
        return _load_undescribed(folder, model, overrides)
    config = read_record(folder)
    if not repository:
        look_where_found(folder)
    if "architecture" in config:
        return _load_hub_folder(folder, config, model, overrides)
    where = repository or called or str(folder)
    record = {key: config[key] for key in RECORDED}
    _check_classes(where, config["num_classes"], overrides)
    if config["version"] == VERSION_WITH_WHITENING or config.get("whitening"):
        _check_whitened(folder, overrides)
        record |= {"mean": None, "std": None, "whitening": Whitening.of_tensors(read_tensors(folder / WHITENING_FILE))}
    if MODULE in config or not isinstance(model, str | None):
        classifier = make_again(config, record, model, overrides, where, downloaded=bool(repository))
    else:
        classifier = _created(config, record, model, overrides, where, downloaded=bool(repository))
    load_state(classifier, folder / WEIGHTS_FILE)
    return classifier


def _created(
    config: dict[str, Any],
    record: dict[str, Any],
    model: str | None,
    overrides: dict[str, Any],
    where: str,
    *,
    downloaded: bool,
) -> Classifier:
    """The network that a name rebuilds, with fresh weights."""
    if downloaded and model is None and is_import_path(config["name"]):
        raise chosen_elsewhere(config["name"], config["name"], where)
    if "from" in config and config["name"] not in MODELS:
        raise UserError(
            f"{where!r} holds a {config['name']}, which limbeck does not know: it was that of {config['from']}. "
            "Install the package, or register the model again."
        )
    if MODELS.is_unlisted(config["name"]):
        try:
            MODELS[config["name"]]
        except UserError as error:
            raise UserError(
                f"{where!r} says how its network is made: {error} Or {how_to_give(class_name(config['name']), where)}."
            ) from error
    _check_model(where, config["name"], model)
    classifier = create(config["name"], **(record | config["options"] | overrides))
    return with_fresh_reused_head(classifier, config["reused_head"]) if "reused_head" in config else classifier


def _load_undescribed(folder: Path, model: str | Module | None, overrides: dict[str, Any]) -> Classifier:
    """A module made outside limbeck as earlier versions saved it: weights, and names of its classes."""
    if not (folder / WEIGHTS_FILE).is_file():
        raise no_network(folder)
    if model is None:
        raise UserError(
            f"{str(folder)!r} holds no {CONFIG_FILE}: its weights are of a module that was made outside limbeck, saved "
            f"by an earlier version, or copied without it. As `model`, {how_to_give('Net', str(folder))}, and `mean`, "
            "`std` and `input_size` as in the training; or a `Classifier` of `lb.wrap`."
        )
    classes = folder / CLASSES_FILE
    names = json.loads(classes.read_text(encoding="utf-8")) if classes.is_file() else ()
    recorded = {"classes": tuple(names), "num_classes": len(names)} if names else {}
    return _load_file(folder / WEIGHTS_FILE, model, recorded | overrides, None)


def _check_whitened(folder: Path, overrides: dict[str, Any]) -> None:
    """Raises a UserError where arguments set a normalisation or size, which whitening fixes."""
    contradicting = [f"`{key}`" for key in ("mean", "std", "channels", "input_size") if key in overrides]
    if contradicting:
        raise UserError(
            f"the network in {str(folder)!r} takes images whitened as {WHITENING_FILE} says; leave out "
            f"{' and '.join(contradicting)}."
        )


def _load_hub_folder(
    folder: Path, config: dict[str, Any], model: str | Module | None, overrides: dict[str, Any]
) -> Classifier:
    _check_model(str(folder), f"{TIMM_PREFIX}{config['architecture']}", model)
    arguments = dict(config.get("model_args") or {})
    # Given by `channels` and by the size of the head.
    channels = arguments.pop("in_chans", 3)
    arguments.pop("num_classes", None)
    record = {"num_classes": None, "channels": channels, "pretrained": True, "arguments": arguments}
    return create_timm(f"{TIMM_PREFIX}local-dir:{folder}", **(record | overrides))


def _load_file(
    path: Path, model: str | Module | None, overrides: dict[str, Any], weights_key: str | None
) -> Classifier:
    if path.name == WEIGHTS_FILE and model is None and (path.parent / CONFIG_FILE).is_file():
        return _load_folder(path.parent, model, overrides)
    if model is None:
        raise UserError(f"a weights file needs `model`, the name of the network that {str(path)!r} is for.")
    if not isinstance(model, str):
        classifier = first_made(model, overrides, str(path))
    else:
        model = canonical(model)
        check_known(overrides, str(path), normalised=not model.startswith(TIMM_PREFIX))
        classifier = create(model, **overrides)
    load_state(classifier, path, weights_key=weights_key)
    return classifier


def _check_model(source: str, name: str, model: str | Module | None) -> None:
    same = model is None or (isinstance(model, str) and canonical(model) == canonical(name))
    if not same:
        raise UserError(f"{source!r} holds a {name}, so `model` must be that or left out, got {model!r}.")


def _check_classes(source: str, num_classes: int, overrides: dict[str, Any]) -> None:
    got = overrides.get("num_classes", num_classes)
    if got != num_classes:
        raise UserError(f"{source!r} has {num_classes} classes, so `num_classes` must be that or left out, got {got}.")
