"""Students on disk, with the names of their classes, whether or not the network can be rebuilt by name."""

from collections.abc import Callable
from pathlib import Path

from limbeck.models.classifier import Classifier
from limbeck.models.shared_memory import load_tensors, private_copy
from limbeck.models.weights.folder import load as load_model
from limbeck.models.weights.record import is_named
from limbeck.training.loop import TrainingResult


def best_student(result: TrainingResult) -> Classifier | None:
    """The student at its best validation, or None without any."""
    if result.best is None:
        return None
    best = private_copy(result.student, "student")
    load_tensors(best, result.best.weights)
    return best


def load_student(folder: Path, make: Callable[[int], Classifier] | None) -> Classifier:
    """The student that a run saved; `make` builds a network that cannot be rebuilt by name."""
    return load_model(folder) if make is None or is_named(folder) else load_model(folder, model=make(0))
