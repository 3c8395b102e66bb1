"""Objects and names that are handed over in Python, brought to what recipes take, each with what is wrong with it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from limbeck.data.image_set import ImageSet
from limbeck.data.loading import load
from limbeck.data.place import path_text
from limbeck.errors import UserError
from limbeck.models.catalogue import MODELS
from limbeck.models.classifier import Classifier
from limbeck.models.fingerprint import fingerprint
from limbeck.models.readiness import check_ready
from limbeck.recipes.fields import FROM_PYTHON
from limbeck.recipes.networks import load_network

Student = str | Classifier | Callable[[int], Classifier]
Pool = ImageSet | str | Path | Mapping[str, Any]


def image_set(images: ImageSet | str | Path, split: str, argument: str) -> ImageSet:
    """Images as they are, or by name."""
    if isinstance(images, str | Path):
        return load(images, split)
    if not isinstance(images, ImageSet):
        raise UserError(
            f"`{argument}` must be images as `lb.load` gives them, or a data set's name, got {type(images).__name__}."
        )
    return images


def network_of(network: Classifier | str | Path, argument: str) -> Classifier:
    """A network as it is, or by name."""
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
    return load_network(network)


def as_settings(
    student: Student | type[nn.Module] | Mapping[str, Any] | None,
) -> Student | Mapping[str, Any] | None:
    """A class of modules as recipes name it; whatever else a student may be stays as it is."""
    if isinstance(student, type):
        return {"model": MODELS.name_of(student)}
    return student


def student_factory(student: Student) -> Callable[[int], Classifier] | None:
    """Seed -> student; None for a model's name, which the recipe carries."""
    if isinstance(student, str):
        return None
    if isinstance(student, Classifier):
        return _Always(student)
    if isinstance(student, nn.Module):
        raise UserError(
            f"`student` must be a model's name, a Classifier or a function from a seed to one, got a bare "
            f"{type(student).__name__}; `lb.wrap` makes it a Classifier."
        )
    if not callable(student):
        raise UserError(
            "`student` must be a model's name, a Classifier or a function from a seed to one, got a "
            f"{type(student).__name__}."
        )
    return student


class _Always:
    """One student for every seed, of which every run teaches a copy; unlike a lambda it goes to workers, too."""

    def __init__(self, student: Classifier) -> None:
        self.student = student

    def __call__(self, seed: int) -> Classifier:
        return self.student


def handed_over(images: Pool, argument: str, handed: dict[str, ImageSet]) -> Any:
    """What settings call images, which are kept in `handed` where they were handed over."""
    if isinstance(images, ImageSet):
        name = name_of_images(images)
        handed[name] = images
        return name
    if not isinstance(images, str | Path | Mapping):
        raise UserError(
            f"`{argument}` must be images as `lb.load` gives them, or a data set's name, got {type(images).__name__}."
        )
    if isinstance(images, str | Path):
        return path_text(images)
    return {**images, **({"name": handed_over(images["name"], argument, handed)} if "name" in images else {})}


def name_of_images(images: ImageSet) -> str:
    """For the recipe that is written down, so that a run is never resumed with other images."""
    return f"{FROM_PYTHON}{images.name}#{images.fingerprint[:12]}"


def name_of_student(student: Classifier | Callable[[int], Classifier]) -> str:
    """For the recipe that is written down."""
    if isinstance(student, Classifier):
        return name_of_network(student, "student")
    return f"{FROM_PYTHON}{getattr(student, '__name__', type(student).__name__)}"


def name_of_network(network: Classifier, who: str = "teacher") -> str:
    """Name and a hash of the weights, so that a run is never resumed with another network."""
    check_ready(network, who)
    return f"{FROM_PYTHON}{network.name}#{fingerprint(network)[:12]}"
