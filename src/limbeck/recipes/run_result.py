"""A finished run, as stored in its folder."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limbeck.errors import UserError
from limbeck.evaluation.evaluation import Evaluation
from limbeck.models.classifier import Classifier
from limbeck.recipes.students import load_student
from limbeck.training.run_folder import RunFolder


@dataclass(frozen=True)
class RunResult:
    """A finished run.

    Attributes:
        folder: where everything about it is.
        student: after the last step.
        chosen: at its best validation, None without validation images.
        evaluation: on the test images, after the last step; None without test images.
        evaluation_chosen: the same of `chosen`.
        validation: the student on its validation images, by accuracy or, without labels, by agreement with the teacher:
            `measure`, `images`, `last`, `best`, `best_step`; None without any, or of a run of an earlier version.
        cost: what it took: images, teacher passes, steps, seconds, energy.

    Example:
        >>> result = lb.distill(None, student, images, test=test, out="runs/labels", steps=5, views="none")
        >>> result.evaluation.n, (result.folder / "student").is_dir()
        (100, True)
    """

    folder: Path
    student: Classifier
    chosen: Classifier | None
    evaluation: Evaluation | None
    evaluation_chosen: Evaluation | None
    cost: dict[str, Any]
    validation: dict[str, Any] | None = None


def read_run(folder: str | Path, make_student: Callable[[int], Classifier] | None = None) -> RunResult:
    """A finished run from its folder.

    Args:
        folder: of the run.
        make_student: seed -> a student to load the weights into, if it cannot be rebuilt by name.

    Raises:
        UserError: the folder holds no finished run, or its student cannot be rebuilt by name.
    """
    run_folder = RunFolder(Path(folder))
    if not run_folder.path.exists():
        raise UserError(f"there is no run folder {str(folder)!r}.")
    if not run_folder.finished:
        raise UserError(f"{str(folder)!r} holds no finished run (state: {run_folder.state}); finish it with --resume.")
    evaluations = run_folder.read("evaluation.json", {})
    chosen = run_folder.path / "student-chosen"
    return run_result(
        run_folder.path,
        load_student(run_folder.path / "student", make_student),
        load_student(chosen, make_student) if chosen.exists() else None,
        evaluations,
        run_folder.read("cost.json", {}),
    )


def run_result(
    folder: Path, student: Classifier, chosen: Classifier | None, evaluations: dict[str, Any], cost: dict[str, Any]
) -> RunResult:
    last, best = (
        Evaluation.from_dict(evaluations[key]) if evaluations.get(key) else None for key in ("last", "chosen")
    )
    return RunResult(folder, student, chosen, last, best, cost, evaluations.get("validation"))
