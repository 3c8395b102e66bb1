"""Refuses, before any work, students that equal the teacher where images are made by what the two disagree on."""

from limbeck.models.classifier import Classifier
from limbeck.recipes.downloads import weights_to_download
from limbeck.recipes.fields import FROM_PYTHON
from limbeck.recipes.inputs import Inputs, build_student
from limbeck.recipes.matching import match_student
from limbeck.recipes.plan import plan
from limbeck.recipes.schema import Recipe
from limbeck.transfer.generate.settings import GenerateSettings
from limbeck.transfer.generate.source import check_other_network


def check_students(recipe: Recipe, inputs: Inputs, teacher: Classifier) -> None:
    """Checks each student of a recipe, and of a comparison's arms, for which images are made in rounds.

    Freshly initialised students need no check, and those whose weights are yet to be downloaded are checked later.

    Raises:
        UserError: a student is the teacher, or has its weights.
    """
    planned = [] if recipe.compare is None else plan(recipe, labelled=inputs.labelled)
    runs = [recipe] if recipe.compare is None else [run.recipe for run in planned if not run.control]
    seen: set[str] = set()
    for run in runs:
        settings, transfer, described = run.student, run.transfer, repr((run.student, run.seed))
        has_weights = settings.weights or (settings.model or "").startswith(FROM_PYTHON)
        rounds = isinstance(transfer, GenerateSettings) and transfer.steps_per_round is not None
        if described in seen or not has_weights or not rounds or weights_to_download(settings):
            continue
        seen.add(described)
        student = build_student(settings, inputs, seed=run.seed)
        check_other_network(match_student(inputs, student).teacher or teacher, student)
