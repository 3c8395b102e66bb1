"""Which labels and soft labels a run needs, checked before anything is loaded or trained for hours."""

import warnings
from typing import Any

import torch

from limbeck.data.soft_targets import SoftTargets
from limbeck.data.transfer_set import TransferSet
from limbeck.models.classifier import Classifier
from limbeck.objectives.sums import weighted_sum
from limbeck.recipes.inputs import Inputs
from limbeck.recipes.schema import Recipe
from limbeck.training.checks import unmixable


def unlabelled(recipe: Recipe, inputs: Inputs, where: str = "") -> dict[str, None]:
    """Reasons, if any, why a recipe cannot select from, or learn from, its unlabelled images.

    Args:
        recipe: of one run.
        inputs: its images.
        where: begins each sentence.
    """
    images, soft_labels = inputs.train, inputs.soft_labels is not None
    if inputs.labelled or (recipe.teacher is None and not soft_labels):
        return {}  # a run without labels, teacher and soft labels is refused elsewhere
    terms = weighted_sum(recipe.resolved_objective(labelled=False, soft_labels=soft_labels)).objectives()
    needing = [name for name, objective in terms.items() if "labels" in objective.needs]
    # A maker may label what it makes, which is checked once it is made.
    if not needing or images is None:
        return {}
    return {
        f"{where}the objective {', '.join(needing)} needs labels, and {images.name} has none; drop that term.": None
    }


def teacher_of(recipe: Recipe, inputs: Inputs) -> Classifier | None:
    """The teacher that a student learns from; None if it learns from labels that the maker gives its images."""
    own = recipe.transfer is not None and recipe.transfer.own_labels
    return inputs.teacher if recipe.teacher is not None and not own else None


def objective_on(recipe: Recipe, made: TransferSet) -> dict[str, Any]:
    """The objective on a fixed transfer set; if a maker brings its labels, by default that of the set's `use`."""
    guessed = recipe.transfer is not None and recipe.transfer.guesses_labels
    labelled, soft = made.images.labels is not None and not guessed, made.soft_labels is not None
    own = recipe.transfer is not None and recipe.transfer.own_labels
    if own and (recipe.objective is None or terms_without_teacher_outputs(recipe, made)):
        usual = {"kd": 1.0} if soft else {"cross_entropy": 1.0}
        return dict((made.use or {}).get("objective") or usual)
    return recipe.resolved_objective(labelled=labelled, soft_labels=soft)


def terms_without_teacher_outputs(recipe: Recipe, made: TransferSet) -> list[str]:
    """Terms of the recipe's objective that need teacher outputs, if the set brings only hard labels."""
    own = recipe.transfer is not None and recipe.transfer.own_labels
    if not own or recipe.objective is None or made.soft_labels is not None:
        return []
    terms = weighted_sum(recipe.objective).objectives()
    return [name for name, term in terms.items() if term.outputs_needed("teacher")]


def placeholder_label(classes: int) -> SoftTargets:
    """A soft label for one image, in place of those still to be made."""
    return SoftTargets(torch.zeros(1, classes), "logits")


def untrainable_teacher(recipe: Recipe, inputs: Inputs) -> dict[str, None]:
    """The reason, if any, why a recipe's teacher cannot be trained: it is to be, and there are no labels."""
    trained = recipe.teacher is not None and recipe.teacher.training is not None
    if not trained or inputs.labelled:
        return {}
    lack = "there are no training images" if inputs.train is None else f"{inputs.train.name!r} has none"
    return {f"the teacher is to be trained from labels, and {lack}; give its `weights`.": None}


def warn_of_unread_soft_labels(inputs: Inputs, teacher: Classifier | None) -> None:
    """Warns that soft labels are not read, as the teacher labels the images."""
    set_names_teacher = (inputs.use or {}).get("teacher") is not None
    if inputs.soft_labels is not None and teacher is not None and not set_names_teacher:
        name = inputs.classes.owner if inputs.train is None else repr(inputs.train.name)
        warnings.warn(
            f"the soft labels of {name} are not read, because the teacher {teacher.name} is asked; leave out the "
            "teacher to learn from them.",
            stacklevel=2,
        )


def unmixed(recipe: Recipe, inputs: Inputs, where: str = "") -> dict[str, None]:
    """Reasons, if any, why a recipe whose views mix images cannot learn from mixtures.

    Args:
        recipe: of one run.
        inputs: its images.
        where: begins each sentence.
    """
    soft_labels = inputs.soft_labels is not None
    objective = recipe.resolved_objective(labelled=inputs.labelled, soft_labels=soft_labels)
    has_teacher = recipe.teacher is not None or not soft_labels
    reasons = unmixable(weighted_sum(objective), recipe.training, teacher=has_teacher)
    return {f"{where}{reason}.": None for reason in reasons}
