"""What a run needs of labels and soft labels, asked before anything is loaded or trained for hours."""

import warnings

from limbeck.models.classifier import Classifier
from limbeck.objectives.sums import weighted_sum
from limbeck.recipes.fields import find_criterion
from limbeck.recipes.inputs import Inputs
from limbeck.recipes.schema import Recipe
from limbeck.transfer.parts import SCORES


def unlabelled(recipe: Recipe, inputs: Inputs, where: str = "") -> dict[str, None]:
    """Why a recipe cannot choose from, or learn from, its images without labels, if it cannot.

    Args:
        recipe: of one run.
        inputs: its images.
        where: begins each sentence.
    """
    images, soft_labels = inputs.train, inputs.soft_labels is not None
    if images.labels is not None or (recipe.teacher is None and not soft_labels):
        return {}  # the latter has nothing to learn from, which is said of it elsewhere
    terms = weighted_sum(recipe.resolved_objective(labelled=False, soft_labels=soft_labels)).objectives()
    needing = [name for name, objective in terms.items() if "labels" in objective.needs]
    wrong = {}
    if needing:
        wrong[
            f"{where}the objective {', '.join(needing)} needs labels, and {images.name} has none; drop that term."
        ] = None
    score = "" if recipe.select is None else find_criterion(recipe.select.criterion).score
    if score and SCORES[score].labels:
        wrong[f"{where}score {score!r} compares with labels, and {images.name!r} has none; choose another."] = None
    return wrong


def untaught_teacher(recipe: Recipe, inputs: Inputs) -> dict[str, None]:
    """Why a recipe's teacher cannot be trained, if there is one to train and no labels to do so."""
    trained = recipe.teacher is not None and recipe.teacher.training is not None
    if not trained or inputs.train.labels is not None:
        return {}
    name = inputs.train.name
    return {f"the teacher is to be trained from labels, and {name!r} has none; give its `weights`.": None}


def warn_of_unread_soft_labels(inputs: Inputs, teacher: Classifier | None) -> None:
    """Says that soft labels are not read where a teacher is asked."""
    if inputs.soft_labels is not None and teacher is not None:
        warnings.warn(
            f"the soft labels of {inputs.train.name!r} are not read, because the teacher {teacher.name} "
            "is asked; leave out the teacher to learn from them.",
            stacklevel=2,
        )
