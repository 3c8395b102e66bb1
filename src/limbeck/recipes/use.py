"""Recipes that teach on a transfer set as it says itself; what it lacks for that, and what contradicts it."""

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
from limbeck.objectives.sums import weighted_sum
from limbeck.recipes.inheritance import merge
from limbeck.recipes.reading import overridden, parse_recipe
from limbeck.recipes.schema import Recipe
from limbeck.training.checks import rounding_views
from limbeck.training.settings import TrainingSettings

_BESIDE = ("batch_size", "momentum", "weight_decay", "schedule")
_CLOSE = 1e-3
"""Means and deviations of [0, 1] images that differ by less are one normalisation, as others print it."""


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
    overrides: Sequence[str] = (),
) -> Recipe:
    """The recipe of a run on a transfer set: what that says of its use, and over it what is given here.

    Args:
        transfer_set: whose `use` it is.
        data: as recipes have it; `train` names the set.
        owner: what messages call the set.
        name: of the recipe.
        student: a model's name, or the mapping that recipes have; another model keeps the set's normalisation.
        own_student: whether the student is handed over, and brings its own normalisation.
        teacher: weights by name, or a folder.
        objective, training: as recipes have them.
        seed: of weights, order and views.
        tracker: as recipes have it.
        overrides: `path.to.key=value` each, over all of this.

    Raises:
        UserError: what the set lacks and nobody gives, all at once; or whatever is wrong with the recipe.
    """
    use = dict(transfer_set.use or {})
    content: dict[str, Any] = {
        "name": name,
        "seed": seed,
        "data": dict(data),
        "student": {} if own_student else _student(use.get("student", {})),
        "training": {**({} if transfer_set.use is None else {"views": "none"}), **use.get("training", {})},
        **({} if tracker is None else {"tracker": tracker}),
    }
    if student is not None:
        content["student"] = _over(content["student"], student)
    if teacher is not None:
        content["teacher"] = {"weights": teacher}
    content["training"] = merge(content["training"], training or {})
    carried = use.get("objective")
    if objective is not None:
        content["objective"] = objective
    elif carried is not None and (teacher is None or weighted_sum(carried).outputs_needed("teacher")):
        content["objective"] = carried
    content = _with_overrides(content, overrides)
    if lacking := _lacking(content, transfer_set, own_student):
        raise UserError(
            f"{owner} {_verb(transfer_set)} all that a student needs to be taught rightly on it; it lacks "
            f"{', '.join(lacking)}. Give each with -s KEY=VALUE, or in Python as an argument."
        )
    recipe = parse_recipe(content, "the recipe" if transfer_set.use is None else f"the use of {owner}")
    beside = [name for name in _BESIDE if name not in content["training"]]
    if transfer_set.use is not None and beside:
        defaults = ", ".join(f"{name} {getattr(recipe.training, name)}" for name in beside)
        warnings.warn(f"{owner} does not say all of `training`; limbeck's defaults hold: {defaults}.", stacklevel=3)
    return recipe


def unlike_student(use: Mapping[str, Any], student: Classifier) -> list[str]:
    """How a student sees other images than a set was made for, in words; nothing where it sees the same."""
    said = use.get("student", {})
    whitening, own = said.get("whitening"), student.whitening
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
        there = said.get(name)
        if not isinstance(there, Sequence) or isinstance(whitening, Mapping):
            continue
        here = student.normalisation[number]
        if (
            own is not None
            or len(here) != len(there)
            or max(abs(a - b) for a, b in zip(here, there, strict=True)) > _CLOSE
        ):
            sees = "whitened images" if own is not None else f"{list(here)} (`student.mean` and `student.std` set it)"
            return [
                f"the transfer set is for images of {name} {list(there)}, and the student {student.name} has {sees}"
            ]
    return []


def unlike_training(use: Mapping[str, Any], training: TrainingSettings) -> list[str]:
    """What a training does otherwise than a set says, in words; of what ruins students: rate and augmentation."""
    said = use.get("training", {})
    wrong = []
    for name in ("learning_rate", "normalised_views"):
        if name not in said:
            continue
        there = getattr(TrainingSettings(steps=1, **{name: said[name]}), name)
        here = getattr(training, name)
        if here != "learned" and _comparable(name, here) != _comparable(name, there):
            wrong.append(f"the transfer set is for {name} {said[name]}, and the training has {here}")
    return wrong


def _comparable(name: str, value: Any) -> Any:
    """Views by what they do, however they are written."""
    return normalised_views(value).key or value if name == "normalised_views" else value


def rounded(recipe: Recipe, where: str = "") -> dict[str, None]:
    """Why a recipe's views would spoil what its maker makes, if they would.

    Args:
        recipe: of one run.
        where: begins each sentence.
    """
    if recipe.transfer is None or not recipe.transfer.may_keep_floats:
        return {}
    keep = "; or keep images in 8 bits, where the maker does"
    return {f"{where}{one}{keep}.": None for one in rounding_views(recipe.training, "images that are made may be")}


def name_for(folder: str | Path, student: str | None) -> str:
    """What the run on the set in `folder` is called.

    Example:
        >>> name_for("sets/datm (1)/", "resnet18")
        'datm-1-resnet18'
    """
    words = [Path(folder).resolve().name, *([] if student is None else [student])]
    return "-".join(re.sub(r"[^\w.-]+", "-", word).strip("-.") or "set" for word in words)


def _student(said: Mapping[str, Any]) -> dict[str, Any]:
    """As recipes have it: `whitening` stands for what the set carries."""
    whitened = {"whitening": True} if said.get("whitening") else {}
    return {key: value for key, value in said.items() if key != "whitening"} | whitened


def _over(student: Mapping[str, Any], changes: str | Mapping[str, Any]) -> dict[str, Any]:
    """Another student with the same normalisation; options are of the model."""
    changes = {"model": changes} if isinstance(changes, str) else dict(changes)
    below = dict(student)
    if changes.get("weights") is not None:
        return changes  # which bring all that is theirs
    if changes.get("model", below.get("model")) != below.get("model"):
        below.pop("options", None)
    if {"mean", "std", "whitening"} & changes.keys():
        below = {key: value for key, value in below.items() if key not in ("mean", "std", "whitening")}
    return {**below, **changes}


def _with_overrides(content: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    student = content["student"]
    content = overridden(content, overrides)
    if not isinstance(content["student"], Mapping):  # as -s student=resnet18 puts it
        content["student"] = _over(student, content["student"])
    return content


def _lacking(content: Mapping[str, Any], transfer_set: TransferSet, own_student: bool) -> list[str]:
    student, training = content["student"], content["training"]
    described = transfer_set.use is not None
    has_weights = student.get("weights") is not None
    if not described and (student.get("model") or has_weights):
        return []  # images as any, which the user teaches as they like
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
