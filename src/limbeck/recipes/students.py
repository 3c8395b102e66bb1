"""Students on disk: ready to load, with the names of their classes, whether or not a name rebuilds the network."""

import json
from collections.abc import Callable
from pathlib import Path

from safetensors.torch import save_file

from limbeck.files import atomic_path, atomic_write_text
from limbeck.models.classifier import Classifier
from limbeck.models.shared_memory import load_tensors, own_memory, private_copy
from limbeck.models.weights.adapt import load_state
from limbeck.models.weights.folder import load as load_model
from limbeck.models.weights.folder import save as save_model
from limbeck.training.loop import TrainingResult

_CLASSES = "classes.json"
"""Class names of a student that no name rebuilds, beside its weights."""


def best_student(result: TrainingResult) -> Classifier | None:
    """The student at its best validation, or None without any."""
    if result.best is None:
        return None
    best = private_copy(result.student, "student")
    load_tensors(best, result.best.weights)
    return best


def save_student(student: Classifier, folder: Path) -> None:
    """Ready to load; of a network that was made outside limbeck, the weights alone."""
    if student.config is not None:
        save_model(student, folder)
        return
    folder.mkdir(exist_ok=True)
    with atomic_path(folder / "model.safetensors") as temporary:
        save_file(own_memory(student.network.state_dict()), temporary)
    atomic_write_text(folder / _CLASSES, json.dumps(student.classes) + "\n")


def load_student(folder: Path, make: Callable[[int], Classifier] | None) -> Classifier:
    """What `save_student` wrote; `make` gives a network for weights that no name rebuilds."""
    if make is None or (folder / "config.json").exists():
        return load_model(folder)
    student = make(0)
    load_state(student, folder / "model.safetensors")
    if (folder / _CLASSES).exists():
        student.classes = tuple(json.loads((folder / _CLASSES).read_text()))
    return student.eval()
