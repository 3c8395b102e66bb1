"""The `config.json` of a saved classifier: its content and versions."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from limbeck.errors import UserError
from limbeck.models.classifier import Classifier

CONFIG_FILE, WEIGHTS_FILE, WHITENING_FILE = "config.json", "model.safetensors", "whitening.safetensors"
CLASSES_FILE = "classes.json"
"""File of class names that earlier versions wrote beside the weights of a module made outside limbeck."""
SAVED_FILES = frozenset([CONFIG_FILE, WEIGHTS_FILE, WHITENING_FILE, CLASSES_FILE])
FORMAT = "limbeck-classifier"
VERSION, VERSION_WITH_WHITENING, VERSION_WITH_MODULE = 1, 2, 3
"""Versions of limbeck without whitening must refuse such a network, or they would feed it images without; and those
that look for a model's name must refuse a module that has none."""
MODULE = "module"
"""Key of the description of a module that was made outside limbeck."""
RECORDED = ("num_classes", "classes", "channels", "input_size", "mean", "std")
TAUGHT_SIZE = "taught_size"
"""Key of the size (H, W) of the images that a network of any size was taught with, where that is known."""


def record_of(
    classifier: Classifier, named: Mapping[str, Any], taught_size: tuple[int, int] | None = None
) -> dict[str, Any]:
    """The content of `config.json`; `named` says how the network is made."""
    version = VERSION if classifier.whitening is None else VERSION_WITH_WHITENING
    outside = MODULE in named
    return {
        "format": FORMAT,
        "version": VERSION_WITH_MODULE if outside else version,
        **named,
        **({"whitening": classifier.whitening is not None} if outside else {}),
        "num_classes": classifier.num_classes,
        "classes": list(classifier.classes),
        "channels": classifier.channels,
        "input_size": classifier.input_size and list(classifier.input_size),
        "mean": classifier.normalisation[0],
        "std": classifier.normalisation[1],
        **({} if taught_size is None else {TAUGHT_SIZE: list(taught_size)}),
    }


def taught_size_of(source: object) -> tuple[int, int] | None:
    """The size of the images that a saved network, or a run's student, was taught with, if its folder records it."""
    if not isinstance(source, str | Path):
        return None
    for folder in (Path(source).expanduser(), Path(source).expanduser() / "student"):
        with suppress(OSError, ValueError):
            stated = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8")).get(TAUGHT_SIZE)
            if isinstance(stated, list) and len(stated) == 2:
                return int(stated[0]), int(stated[1])
    return None


def is_named(folder: Path) -> bool:
    """Whether a name makes the network in `folder` again; False also without a record."""
    return (folder / CONFIG_FILE).is_file() and MODULE not in read_record(folder)


def made_by_hand(folder: Path) -> bool:
    """Whether loading the network in `folder` needs a `model`, as neither a name nor an import path makes it again."""
    module = read_record(folder).get(MODULE)
    return module is not None and module.get("path") is None


def read_record(folder: Path) -> dict[str, Any]:
    """The content of `config.json`, of limbeck's own format or of timm's, which has an `architecture`.

    Raises:
        UserError: there is none, or it is damaged or of another kind.
    """
    path = folder / CONFIG_FILE
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
    if config.get("version") not in (VERSION, VERSION_WITH_WHITENING, VERSION_WITH_MODULE):
        raise UserError(
            f"{str(path)!r} has format version {config.get('version')}, this limbeck reads {VERSION} to "
            f"{VERSION_WITH_MODULE}; update limbeck."
        )
    needed = ("name", MODULE) if config["version"] == VERSION_WITH_MODULE else ("name", "options")
    absent = [key for key in (*needed, *RECORDED) if key not in config]
    if absent:
        raise UserError(f"{str(path)!r} lacks {', '.join(absent)}; save the classifier again.")
    return config
