"""The verbs from Python, on objects or on names."""

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from limbeck.data.image_set import ImageSet
from limbeck.data.loading import load
from limbeck.data.transfer_set import TransferSet
from limbeck.errors import UserError
from limbeck.models.classifier import Classifier
from limbeck.models.fingerprint import fingerprint
from limbeck.models.weights import load as load_model
from limbeck.recipes.compare import compare as compare_recipe
from limbeck.recipes.materials import Given, load_taught, network_folder
from limbeck.recipes.names import FROM_PYTHON
from limbeck.recipes.reading import parse_recipe, read_recipe
from limbeck.recipes.run import RunResult, run
from limbeck.recipes.schema import Source
from limbeck.training.progress import Progress

Student = str | Classifier | Callable[[int], Classifier]


def distill(
    teacher: Classifier | str | Path | None,
    student: Student,
    images: ImageSet | TransferSet | str | Path,
    *,
    out: str | Path,
    test: ImageSet | str | Path | None = None,
    validation: int | float = 0.1,
    objective: str | Mapping[str, Any] | None = None,
    seed: int = 0,
    resume: bool = False,
    progress: Progress | None = None,
    **training: Any,
) -> RunResult:
    """Teaches a student on images, judges it, and keeps everything about it in a run folder.

    Args:
        teacher: a classifier, weights by name or path, or a run folder; None learns from labels or soft labels alone.
        student: a model's name, a classifier to go on from, or a function from a seed to a fresh classifier.
        images: an image set, a transfer set or its folder (whose soft labels stand in for a teacher), or a data set's
            name.
        out: the run folder, new unless `resume` is given.
        test: labelled images to judge on at the end.
        validation: images held out of `images` to choose among the states of the run: a count, a share, or 0.
        objective: a name, or name -> weight; by default Hinton's with a teacher or soft labels (without its
            cross-entropy if `images` have no labels), else cross-entropy.
        seed: of weights, order and views.
        resume: go on with the run in `out`.
        progress: who watches.
        training: settings of `TrainingSettings`; `steps` or `epochs` must be among them.

    Raises:
        UserError: whatever does not fit together, all at once where it can be known.

    Example:
        >>> images, test = lb.load("digits"), lb.load("digits", "test")
        >>> result = lb.distill("runs/teacher", "convnet_d3", images, test=test, out="runs/one", epochs=5)
        >>> result.evaluation.top1
    """
    if isinstance(images, TransferSet):
        pool, soft_labels = images.images, images.soft_labels
    elif isinstance(images, str | Path):
        pool, soft_labels = load_taught(Source.model_construct(name=str(images)))
    else:
        pool, soft_labels = _image_set(images, "train", "images"), None
    judged = None if test is None else _image_set(test, "test", "test")
    asked = _teacher(teacher)
    recipe = parse_recipe(
        {
            "name": "distill" if asked is not None else "train",
            "seed": seed,
            "data": {
                "train": _name_of_images(pool),
                "test": None if judged is None else _name_of_images(judged),
                "validation": validation,
            },
            "teacher": None if asked is None else {"weights": _name_of_network(asked)},
            "student": {"model": student if isinstance(student, str) else _name_of_student(student)},
            "objective": objective or _usual_objective(asked, soft_labels, pool),
            "training": {"views": "pad-crop-flip", **training},
        }
    )
    given = Given(pool, judged, asked, soft_labels, _maker(student))
    return run(recipe, out, resume=resume, given=given, progress=progress)


def compare(
    recipe: str | Path | Mapping[str, Any],
    *,
    out: str | Path,
    overrides: Sequence[str] = (),
    teacher: Classifier | str | Path | None = None,
    student: Student | None = None,
    train: ImageSet | str | Path | None = None,
    test: ImageSet | str | Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Runs a comparison: arms x budgets x seeds beside the honest controls; returns its results.

    Args:
        recipe: a packaged recipe's name, a YAML file, or a mapping.
        out: folder of the comparison, new unless `resume` is given.
        overrides: changes to the recipe, "training.steps=100" each.
        teacher, student, train, test: take the place of what the recipe names, each alone or together.
        resume: go on with the comparison in `out`; finished runs are not repeated.
        progress: who watches.

    Raises:
        UserError: whatever is known to be wrong before the first run.

    Example:
        >>> results = lb.compare("digits-demo", out="runs/demo", overrides=["compare.budgets=[50]"])
        >>> results["table"][0]["mean"]
    """
    told = read_recipe(recipe, overrides)
    asked = _teacher(teacher)
    content = told.model_dump(mode="json", exclude_none=True)
    train = None if train is None else _image_set(train, "train", "train")
    test = None if test is None else _image_set(test, "test", "test")
    if train is not None:
        content["data"]["train"] = _name_of_images(train)
    if test is not None:
        content["data"]["test"] = _name_of_images(test)
    if asked is not None:
        content["teacher"] = {"weights": _name_of_network(asked)}
    if student is not None:
        content["student"] = {"model": student if isinstance(student, str) else _name_of_student(student)}
    given = Given(train, test, asked, None, None if student is None else _maker(student))
    return compare_recipe(parse_recipe(content), out, resume=resume, given=given, progress=progress)


def _image_set(images: ImageSet | str | Path, split: str, argument: str) -> ImageSet:
    if isinstance(images, str | Path):
        return load(images, split)
    if not isinstance(images, ImageSet):
        raise UserError(
            f"`{argument}` must be images as `lb.load` gives them, or a data set's name, got {type(images).__name__}."
        )
    return images


def _teacher(teacher: Classifier | str | Path | None) -> Classifier | None:
    if teacher is None or isinstance(teacher, Classifier):
        return teacher
    if isinstance(teacher, nn.Module):
        raise UserError(
            f"`teacher` must be a Classifier or weights by name or path, got a bare {type(teacher).__name__}; "
            "`lb.wrap(module, num_classes=..., input_size=..., mean=..., std=...)` says how it is used rightly."
        )
    return load_model(network_folder(str(teacher)))


def _maker(student: Student) -> Callable[[int], Classifier] | None:
    """Seed -> student; None for a model's name, which the recipe carries."""
    if isinstance(student, str):
        return None
    if isinstance(student, Classifier):
        return lambda seed: copy.deepcopy(student)
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


def _name_of_images(images: ImageSet) -> str:
    return f"{FROM_PYTHON}{images.name}#{images.fingerprint[:12]}"


def _name_of_student(student: Classifier | Callable[[int], Classifier]) -> str:
    if isinstance(student, Classifier):
        return _name_of_network(student)
    return f"{FROM_PYTHON}{getattr(student, '__name__', type(student).__name__)}"


def _name_of_network(network: Classifier) -> str:
    """Name and a hash of the weights, so that a run is never resumed with another network."""
    return f"{FROM_PYTHON}{network.name}#{fingerprint(network)[:12]}"


def _usual_objective(teacher: Classifier | None, soft_labels: Tensor | None, images: ImageSet) -> dict[str, float]:
    if teacher is None and soft_labels is None:
        return {"cross_entropy": 1.0}
    return {"kd": 1.0} if images.labels is None else {"cross_entropy": 0.1, "kd": 0.9}
