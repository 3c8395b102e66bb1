"""Checks of a run's recipe against its images and networks, before anything is made or trained."""

from pathlib import Path

import torch

from limbeck.data.image_set import ImageSet
from limbeck.errors import UserError
from limbeck.models.classifier import Classifier
from limbeck.objectives.sums import weighted_sum
from limbeck.progress import Silent
from limbeck.recipes.inputs import Inputs, build_student
from limbeck.recipes.judging import validation_of
from limbeck.recipes.labels import placeholder_label, teacher_of, unlabelled, unmixed, untrainable_teacher
from limbeck.recipes.making import transfer_set_of, unmakeable
from limbeck.recipes.matching import match_student
from limbeck.recipes.plan import plan
from limbeck.recipes.rungs import unraceable
from limbeck.recipes.schema import Recipe
from limbeck.recipes.trials import try_student
from limbeck.recipes.use import rounded
from limbeck.training.checks import check_parts


def check_choices(recipe: Recipe, inputs: Inputs, folder: Path, *, trains: bool) -> None:
    """Raises a UserError for budgets and objectives that cannot work, before a teacher is loaded or trained."""
    problems: dict[str, None] = {}
    size = (None, None) if inputs.train is None else (len(inputs.train), inputs.train.num_classes)
    seen: set[str] = set()
    for planned in plan(recipe, *size, labelled=inputs.labelled) if recipe.compare is not None else ():
        where = f"arm {planned.arm!r}: "
        key = repr((planned.recipe.transfer, planned.recipe.training.steps, planned.recipe.teacher is None))
        if key not in seen:  # once for all seeds, as it opens pools, which takes time
            seen.add(key)
            problems |= unmakeable(planned.recipe, inputs, folder, Silent())
        problems |= unlabelled(planned.recipe, inputs, where)
        problems |= unmixed(planned.recipe, inputs, where) | rounded(planned.recipe, where)
    if recipe.compare is None:
        problems |= unmakeable(recipe, inputs, folder, Silent()) | unlabelled(recipe, inputs)
        problems |= unmixed(recipe, inputs) | rounded(recipe)
    problems |= untrainable_teacher(recipe, inputs) if trains else {}
    problems |= unraceable(recipe, inputs)
    if problems:
        raise UserError("\n".join(problems))


def rehearse(recipe: Recipe, inputs: Inputs) -> None:
    """Raises a UserError where the student does not fit the images, before a teacher is trained."""
    student = build_student(recipe.student, inputs, seed=recipe.seed)
    match_student(inputs, student)
    try_student(student, inputs)
    if inputs.test is not None and student.num_classes != inputs.test.num_classes:
        raise UserError(
            f"the student {student.name} tells {student.num_classes} classes apart, but the test images have "
            f"{inputs.test.num_classes}; set `student.num_classes: {inputs.test.num_classes}`."
        )


def check_with_pool(recipe: Recipe, inputs: Inputs, student: Classifier) -> None:
    """Raises a UserError where pool, student and objective do not fit, before anything is made."""
    teacher = teacher_of(recipe, inputs)
    soft_labels = inputs.soft_labels if teacher is None else None
    pool = transfer_set_of(inputs.train or _stand_in(inputs), soft_labels)
    objective = recipe.resolved_objective(labelled=inputs.labelled, soft_labels=soft_labels is not None)
    if recipe.transfer is not None and recipe.transfer.own_labels:
        # Whether labels will be hard or soft is known once they are made: check with an image that has both.
        pool = transfer_set_of(pool.images.subset(pool.images.ids[:1]), placeholder_label(pool.images.num_classes))
        objective = recipe.objective or {"cross_entropy": 1.0}
    check_parts(student, pool, weighted_sum(objective), recipe.training, teacher, validation_of(recipe, inputs))


def _stand_in(inputs: Inputs) -> ImageSet:
    """One labelled image in place of those that will be made, which may or may not have labels."""
    empty = torch.zeros(1, *inputs.shape, dtype=torch.uint8)
    names = inputs.classes.names or tuple(map(str, range(inputs.classes.count)))
    return ImageSet(empty, [0], classes=names, name="what will be made")
