"""Evaluation of a trained student on the test images, and what its report needs."""

from typing import Any

from torch import Tensor

from limbeck.data.image_set import ImageSet
from limbeck.evaluation.evaluation import evaluate, evaluate_logits
from limbeck.evaluation.model_size import footprint
from limbeck.evaluation.similarity import INSIDE_FILE, save_inside
from limbeck.models.classifier import Classifier
from limbeck.recipes.inputs import Inputs
from limbeck.recipes.schema import Recipe
from limbeck.training.loop import TrainingResult
from limbeck.training.run_folder import RunFolder


def evaluate_student(
    recipe: Recipe,
    result: TrainingResult,
    chosen: Classifier | None,
    inputs: Inputs,
    test_logits: Tensor | None,
) -> dict[str, Any]:
    """What `evaluation.json` holds: the student after the last step, and the validation-chosen one.

    Args:
        recipe: of the run.
        result: with the last student.
        chosen: the validation-chosen student, or None.
        inputs: with the test images, if any.
        test_logits: of the last student on them.
    """
    evaluations: dict[str, Any] = {
        "image_shape": list(inputs.shape),
        "footprint": footprint(result.student, inputs.shape, latency=recipe.latency),
        "last": None,
        "chosen": None,
        "chosen_step": result.best.step if result.best else None,
    }
    if inputs.test is None or test_logits is None:
        return evaluations
    assert inputs.test.labels is not None
    logits = inputs.teacher_test_logits
    evaluations["last"] = evaluate_logits(test_logits, inputs.test.labels, inputs.test.classes, logits).to_dict()
    if chosen is not None and result.best is not None:
        same = result.best.step == result.steps
        last = evaluations["last"]
        evaluations["chosen"] = last if same else evaluate(chosen, inputs.test, teacher_logits=logits).to_dict()
    return evaluations


def by_labels(validation: ImageSet | None) -> ImageSet | None:
    """The validation images if they are labelled, so that no teacher is needed; otherwise None."""
    return None if validation is None or validation.labels is None else validation


def validation_of(recipe: Recipe, inputs: Inputs) -> ImageSet | None:
    """The images that choose among the states of a run; controls without a teacher need labels, not agreement."""
    control = recipe.teacher is None and inputs.teacher is not None
    return by_labels(inputs.validation) if control else inputs.validation


def validation_scores(
    result: TrainingResult, run_folder: RunFolder, validation: ImageSet | None
) -> dict[str, Any] | None:
    """The student on its validation images, after the last step and after the best one, or None without any.

    Returns:
        `measure`: "top1" or "agreement"; `images`: how many; `last` and `best`: the score, a share; `best_step`; and
        beside agreement `divergence` after the last step, nats.
    """
    rows = [row for row in run_folder.metrics() if row["kind"] == "validation" and row["step"] == result.steps]
    if result.best is None or validation is None or not rows:
        return None
    measure, last = result.best.measure, rows[-1]
    return {
        "measure": measure,
        "images": len(validation),
        "last": last[measure],
        "best": result.best.score,
        "best_step": result.best.step,
        **{name: last[name] for name in ("divergence",) if name in last},
    }


def look_inside(
    recipe: Recipe, run_folder: RunFolder, student: Classifier, inputs: Inputs, test_logits: Tensor | None
) -> None:
    """Saves for the report the embeddings of the test images by teacher and student."""
    teacher, logits = inputs.teacher, inputs.teacher_test_logits
    if recipe.teacher is None or teacher is None or logits is None or test_logits is None or not recipe.inside:
        return
    assert inputs.test is not None
    save_inside(run_folder.path / INSIDE_FILE, student, teacher, inputs.test, test_logits, logits, most=recipe.inside)
