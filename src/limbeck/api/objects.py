"""Turns objects and names handed over in Python into what recipes take, or says what is wrong with them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from limbeck.data.image_set import ImageSet
from limbeck.data.loading import load_first
from limbeck.data.objects.reading import ImagesLike, is_object, not_images
from limbeck.data.objects.tables import is_of_datasets
from limbeck.data.place import path_text
from limbeck.errors import UserError
from limbeck.foreign import ForeignError, described
from limbeck.models.catalogue import MODELS
from limbeck.models.classifier import Classifier
from limbeck.models.fingerprint import fingerprint
from limbeck.models.own_models import makes_model
from limbeck.models.readiness import check_ready
from limbeck.models.weights.folder import as_classifier
from limbeck.recipes.fields import FROM_PYTHON
from limbeck.recipes.handed_images import name_of_images
from limbeck.recipes.networks import load_network

Student = str | Classifier | Callable[[int], Classifier] | Callable[..., nn.Module]
Pool = ImagesLike | Mapping[str, Any]
Shape = Callable[[], tuple[int, int, int]]
_OF_READING = ("split", "image_column", "label_column", "skip_unreadable", "scale")
"""Settings of a pool that say how an object is read."""


def network_of(network: Classifier | str | Path, argument: str) -> Classifier:
    """A network as it is, or by name."""
    return as_classifier(network, argument, load_network)


def as_settings(
    student: Student | type[nn.Module] | Mapping[str, Any] | None,
) -> Student | Mapping[str, Any] | None:
    """A class of modules, or a function of `num_classes`, as recipes name it; whatever else a student may be stays."""
    if makes_model(student):
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
    make: Any = student
    return _OfSeed(make)


class _OfSeed:
    """A function of the user's own; its errors are reported as such."""

    def __init__(self, make: Callable[..., Any]) -> None:
        self.make = make

    def __call__(self, seed: int) -> Classifier:
        try:
            return self.make(seed)
        except UserError:
            raise
        except Exception as error:  # somebody else's code may raise anything
            name = name_of_student(self.make).removeprefix(FROM_PYTHON)
            takes_none = isinstance(error, TypeError) and error.__traceback__ and error.__traceback__.tb_next is None
            advice = (
                " Write `lambda seed: ...`, or `def net(num_classes): ...` for one that makes a module of that."
                if takes_none
                else ""
            )
            raise ForeignError(
                f"`student` {name!r}, called with the seed {seed}, raised {described(error)}.{advice}"
            ) from error


class _Always:
    """One student for every seed, of which every run teaches a copy; unlike a lambda it goes to workers, too."""

    def __init__(self, student: Classifier) -> None:
        self.student = student

    def __call__(self, seed: int) -> Classifier:
        return self.student


def handed_over(images: Pool, argument: str, handed: dict[str, ImageSet], shape: Shape) -> Any:
    """The name of images in settings; images that are handed over as objects are put into `handed` by it.

    Args:
        images: a pool's, or a mapping of its settings with these as `name`.
        argument: what to call it in messages.
        handed: by the names that settings have for them.
        shape: (C, H, W) that objects are read in.
    """
    if isinstance(images, str | Path):
        return path_text(images)
    if isinstance(images, Mapping) and not is_of_datasets(images, "DatasetDict", "IterableDatasetDict"):
        return _settings_of_pool(images, argument, handed, shape) if "name" in images else dict(images)
    if not is_object(images):
        raise not_images(argument, type(images).__name__)
    image_set = images if isinstance(images, ImageSet) else load_first(images, count=None, shape=shape())
    name = name_of_images(image_set)
    handed[name] = image_set
    return name


def _settings_of_pool(
    settings: Mapping[str, Any], argument: str, handed: dict[str, ImageSet], shape: Shape
) -> dict[str, Any]:
    """The settings with a name in place of an object, which is read as they say."""
    images = settings["name"]
    if isinstance(images, ImageSet | str | Path) or not is_object(images):
        return {**settings, "name": handed_over(images, argument, handed, shape)}
    reading = {key: settings[key] for key in _OF_READING if key in settings}
    image_set = load_first(
        images, reading.pop("split", "train"), count=settings.get("images"), shape=shape(), **reading
    )
    rest = {key: value for key, value in settings.items() if key not in _OF_READING}
    return {**rest, "name": handed_over(image_set, argument, handed, shape)}


def name_of_student(student: Classifier | Callable[..., Any]) -> str:
    """The name of a student in the recipe that is saved."""
    if isinstance(student, Classifier):
        return name_of_network(student, "student")
    return f"{FROM_PYTHON}{getattr(student, '__name__', type(student).__name__)}"


def name_of_network(network: Classifier, who: str = "teacher") -> str:
    """Name and a hash of the weights, so that a run is never resumed with another network."""
    check_ready(network, who)
    return f"{FROM_PYTHON}{network.name}#{fingerprint(network)[:12]}"
