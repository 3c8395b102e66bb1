"""Recipes that train on a transfer set according to its `use`; what the `use` lacks, and what contradicts it."""

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from limbeck.data.normalised_views import normalised_views
from limbeck.data.transfer_set import TransferSet
from limbeck.errors import UserError
from limbeck.models.classifier import Classifier
from limbeck.models.whitening import Whitening
from limbeck.recipes.described_sets import objective_of_use, over, student_of_use, teacher_of_use, training_of_use
from limbeck.recipes.inheritance import merge
from limbeck.recipes.reading import overridden, parse_recipe
from limbeck.recipes.schema import Recipe
from limbeck.training.checks import rounding_views
from limbeck.training.settings import TrainingSettings

_BESIDE = ("batch_size", "momentum", "weight_decay", "schedule")
_CLOSE = 1e-3
"""Means and deviations of [0, 1] images that differ by less are the same, as published ones are rounded."""


def recipe_of_set(
    transfer_set: TransferSet,
    data: Mapping[str, Any],
    *,
    owner: str,
    name: str,
    student: str | Mapping[str, Any] | None = None,
    own_student: bool = False,
    teacher: str | None = None,
    objective: str | Callable[..., Any] | Mapping[Any, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    seed: int = 0,
    tracker: str | Mapping[str, Any] | None = None,
    license: str | None = None,
    overrides: Sequence[str] = (),
) -> Recipe:
    """The recipe of a run on a transfer set: its `use`, overridden by the arguments.

    Args:
        transfer_set: with the `use`.
        data: as recipes have it; `train` names the set.
        owner: names the set in messages.
        name: of the recipe.
        student: a model's name, or the mapping that recipes have; another model keeps the set's normalisation.
        own_student: whether the student is handed over in Python, with its own normalisation.
        teacher: weights by name, or a folder.
        objective, training: as recipes have them.
        seed: of weights, order and views.
        tracker, license: as recipes have them.
        overrides: `path.to.key=value` each, over all of this.

    Raises:
        UserError: lists everything that neither the set nor the arguments give; or the recipe is wrong.
    """
    use = dict(transfer_set.use or {})
    content: dict[str, Any] = {
        "name": name,
        "seed": seed,
        "data": dict(data),
        "student": {} if own_student else student_of_use(use.get("student", {})),
        "training": {} if transfer_set.use is None else training_of_use(use),
        **({} if tracker is None else {"tracker": tracker}),
        **({} if license is None else {"license": license}),
    }
    if student is not None:
        content["student"] = over(content["student"], student)
    if teacher is not None:
        content["teacher"] = {"weights": teacher}
    named = {} if teacher is not None or objective is not None else _teacher(use, overrides)
    if named:
        content["teacher"] = named
    content["training"] = merge(content["training"], training or {})
    carried = objective_of_use(use, "teacher" in content)
    if objective is not None:
        content["objective"] = objective
    elif carried is not None:
        content["objective"] = carried
    content = _with_overrides(content, overrides)
    if lacking := _lacking(content, transfer_set, own_student):
        raise UserError(
            f"{owner} {_verb(transfer_set)} all that a student needs to be taught rightly on it; it lacks "
            f"{', '.join(lacking)}. Give each with -s KEY=VALUE, or in Python as an argument."
        )
    recipe = parse_recipe(content, "the recipe" if transfer_set.use is None else f"the use of {owner}")
    defaulted = [name for name in _BESIDE if name not in content["training"]]
    if transfer_set.use is not None and defaulted:
        defaults = ", ".join(f"{name} {getattr(recipe.training, name)}" for name in defaulted)
        warnings.warn(f"{owner} does not say all of `training`; limbeck's defaults hold: {defaults}.", stacklevel=3)
    return recipe


def unlike_student(use: Mapping[str, Any], student: Classifier) -> list[str]:
    """Sentences on how a student's normalisation differs from the one that a set was made for."""
    stated = use.get("student", {})
    whitening, own = stated.get("whitening"), student.whitening
    if isinstance(whitening, Mapping) and (
        own is None or own.fingerprint != Whitening.of_tensors(whitening).fingerprint
    ):
        other = (
            "by another whitening" if own is not None else "normalised in place of whitened (`student.whitening: true`)"
        )
        return [
            f"the transfer set is for images whitened as it carries, and the student {student.name} sees them {other}"
        ]
    for number, name in enumerate(("mean", "std")):
        expected = stated.get(name)
        if not isinstance(expected, Sequence) or isinstance(whitening, Mapping):
            continue
        actual = student.normalisation[number]
        if (
            own is not None
            or len(actual) != len(expected)
            or max(abs(a - b) for a, b in zip(actual, expected, strict=True)) > _CLOSE
        ):
            sees = "whitened images" if own is not None else f"{list(actual)} (`student.mean` and `student.std` set it)"
            return [
                f"the transfer set is for images of {name} {list(expected)}, and the student {student.name} has {sees}"
            ]
    return []


def unlike_training(use: Mapping[str, Any], training: TrainingSettings) -> list[str]:
    """Sentences on training settings that differ from a set's `use` and ruin students: rate and augmentation."""
    stated = use.get("training", {})
    wrong = []
    for name in ("learning_rate", "normalised_views"):
        if name not in stated:
            continue
        expected = getattr(TrainingSettings(steps=1, **{name: stated[name]}), name)
        actual = getattr(training, name)
        if actual != "learned" and _comparable(name, actual) != _comparable(name, expected):
            wrong.append(f"the transfer set is for {name} {stated[name]}, and the training has {actual}")
    if training.learning_rate == "learned" and "learning_rate" in stated and "optimizer" in stated:
        expected = TrainingSettings(steps=1, optimizer=stated["optimizer"]).optimizer
        if expected != training.optimizer:
            wrong.append(
                f"the transfer set's learning_rate {stated['learning_rate']} is for the optimizer {expected}, and the "
                f"training has {training.optimizer}"
            )
    return wrong


def settings_followed(use: Mapping[str, Any], recipe: Recipe) -> str:
    """The settings of a recipe that are as the set's `use` says, in words; "" if none is."""
    stated, student = use.get("training", {}), use.get("student", {}).get("model")
    alike = [f"student {student}"] if student is not None and recipe.student.model == student else []
    for name, expected in stated.items():
        actual = getattr(recipe.training, name, None)
        if _comparable(name, actual) == _comparable(name, expected):
            alike.append(f"{name} {expected}")
    return f"as the transfer set says: {', '.join(alike)}" if alike else ""


def _comparable(name: str, value: Any) -> Any:
    """A value for comparison: normalised views by what they do, however they are written."""
    return normalised_views(value).key or value if name == "normalised_views" else value


def rounded(recipe: Recipe, where: str = "") -> dict[str, None]:
    """Reasons, if any, why a recipe's views would spoil the images that its maker makes.

    Args:
        recipe: of one run.
        where: begins each sentence.
    """
    if recipe.transfer is None or not recipe.transfer.may_keep_floats:
        return {}
    keep = "; or keep images in 8 bits, where the maker does"
    return {
        f"{where}{reason}{keep}.": None for reason in rounding_views(recipe.training, "images that are made may be")
    }


def name_for(folder: str | Path, student: str | None) -> str:
    """The name of the run on the set in `folder`; never that of the set, which may lie where runs do.

    Example:
        >>> name_for("sets/datm (1)/", "resnet18"), name_for("runs/tiny", None)
        ('datm-1-resnet18', 'tiny-distilled')
    """
    words = [Path(folder).resolve().name, student or "distilled"]
    return "-".join(re.sub(r"[^\w.-]+", "-", word).strip("-.") or "set" for word in words)


def _with_overrides(content: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    student = content["student"]
    content = overridden(content, overrides)
    if not isinstance(content["student"], Mapping):  # as -s student=resnet18 puts it
        content["student"] = over(student, content["student"])
    return content


def _teacher(use: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """The teacher that the set names; empty if the overrides give another teacher or objective."""
    other = any(re.match(r"\s*(teacher|teacher\.weights|objective)\s*=", override) for override in overrides)
    return {} if other else teacher_of_use(use)


def _lacking(content: Mapping[str, Any], transfer_set: TransferSet, own_student: bool) -> list[str]:
    student, training = content["student"], content["training"]
    described = transfer_set.use is not None
    has_weights = student.get("weights") is not None
    if not described and (student.get("model") or has_weights):
        return []  # a set without a `use` may be trained on as the user likes
    normalised = student.get("whitening") or {"mean", "std"} <= student.keys()
    augmented = "normalised_views" in training or training.get("views", "none") != "none"
    labelled = content.get("objective") is not None or content.get("teacher") is not None
    lacks = {
        "the student (`student.model`)": not student.get("model") and not has_weights,
        "its normalisation (`student.mean` and `student.std`, or `student.whitening`)": described
        and not (normalised or has_weights or own_student),
        "for how long (`training.epochs`)": not {"epochs", "steps"} & training.keys(),
        "the learning rate (`training.learning_rate`)": described and "learning_rate" not in training,
        "the augmentation (`training.normalised_views`, none if there is to be none)": described and not augmented,
        "what is minimised (`objective`)": described and not labelled,
    }
    return [what for what, lacking in lacks.items() if lacking]


def _verb(transfer_set: TransferSet) -> str:
    return "does not say" if transfer_set.use is not None else "carries no `use`, and so does not say"
