"""What a run needs of labels and soft labels, asked before anything is loaded or trained for hours."""

import warnings

from limbeck.models.classifier import Classifier
from limbeck.objectives.sums import weighted_sum
from limbeck.recipes.materials import Materials
from limbeck.recipes.names import build_criterion
from limbeck.recipes.schema import Recipe
from limbeck.transfer.select.parts import SCORES


def unlabelled(recipe: Recipe, materials: Materials, where: str = "") -> dict[str, None]:
    """Why a recipe cannot choose from, or learn from, its images without labels, if it cannot.

    Args:
        recipe: of one run.
        materials: its images.
        where: begins each sentence.
    """
    images, soft_labels = materials.train, materials.soft_labels is not None
    if images.labels is not None or (recipe.teacher is None and not soft_labels):
        return {}  # the latter has nothing to learn from, which is said of it elsewhere
    terms = weighted_sum(recipe.resolved_objective(labelled=False, soft_labels=soft_labels)).objectives()
    needing = [name for name, objective in terms.items() if "labels" in objective.needs]
    wrong = {}
    if needing:
        wrong[
            f"{where}the objective {', '.join(needing)} needs labels, and {images.name} has none; drop that term."
        ] = None
    score = "" if recipe.select is None else build_criterion(recipe.select.criterion).score
    if score and SCORES[score].labels:
        wrong[f"{where}score {score!r} compares with labels, and {images.name!r} has none; choose another."] = None
    return wrong


def untaught_teacher(recipe: Recipe, materials: Materials) -> dict[str, None]:
    """Why a recipe's teacher cannot be trained, if there is one to train and no labels to do so."""
    trained = recipe.teacher is not None and recipe.teacher.training is not None
    if not trained or materials.train.labels is not None:
        return {}
    name = materials.train.name
    return {f"the teacher is to be trained from labels, and {name!r} has none; give its `weights`.": None}


def warn_of_unread_soft_labels(materials: Materials, teacher: Classifier | None) -> None:
    """Says that soft labels are not read where a teacher is asked."""
    if materials.soft_labels is not None and teacher is not None:
        warnings.warn(
            f"the soft labels of {materials.train.name!r} are not read, because the teacher {teacher.name} "
            "is asked; leave out the teacher to learn from them.",
            stacklevel=2,
        )
