"""A comparison: all planned runs, one after the other, each at most once."""

import itertools
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accelerate.state import PartialState

from limbeck.data.image_set import ImageSet
from limbeck.data.transfer_set import TransferSet
from limbeck.errors import UserError
from limbeck.evaluation.evaluation import evaluate_logits
from limbeck.evaluation.model_size import footprint
from limbeck.files import atomic_folder
from limbeck.objectives.sums import weighted_sum
from limbeck.progress import Progress, Silent
from limbeck.recipes.fingerprints import check_fingerprints, fingerprints_of
from limbeck.recipes.inputs import Inputs, PythonObjects, build_student
from limbeck.recipes.matching import match_student
from limbeck.recipes.plan import PlannedRun, plan
from limbeck.recipes.reading import renewed
from limbeck.recipes.results import UNLABELLED, collect
from limbeck.recipes.run import gather_inputs, trainings
from limbeck.recipes.run_tasks import RunTask, run_tasks
from limbeck.recipes.schema import Recipe
from limbeck.report import write_comparison_report
from limbeck.training.checks import check_parts
from limbeck.training.distributed import is_main_process
from limbeck.training.launcher import check_launcher
from limbeck.training.run_folder import Difference, RunFolder, as_begun
from limbeck.transfer.evidence import EVIDENCE


def compare(
    recipe: Recipe,
    folder: str | Path,
    *,
    resume: bool = False,
    objects: PythonObjects | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Runs a comparison in `folder` and writes results and report; returns the results (see `collect`).

    Finished runs are not repeated, begun ones are gone on with, a broken arm is noted and the others go on. Arms,
    budgets and seeds may be added to a comparison later, and broken arms mended; whatever else shapes its runs may
    not change.

    Args:
        recipe: with `compare`.
        folder: made if need be, never overwritten.
        resume: go on with the comparison in `folder`.
        objects: those handed over in Python, in place of what the recipe names.
        progress: who watches.

    Raises:
        UserError: what can be known before the first run: names, budgets that cannot be met, classes that differ.
        Interrupted: stopped by Ctrl-C or SIGTERM; resume goes on.
    """
    progress = progress or Silent()
    planned = plan(recipe)
    described = recipe.model_dump(mode="json")
    check_launcher(*(one for one in planned for one in trainings(one.recipe)), cpu=recipe.device == "cpu")
    is_main_process(cpu=recipe.device == "cpu")  # settles where this process computes, the teacher's test pass too
    if resume:
        _check_unchanged(planned, Path(folder))
    with RunFolder.open(
        folder, described, resume=resume, may_change=("compare", "summary"), renew=renewed
    ) as run_folder:
        inputs = gather_inputs(recipe, run_folder.path, progress, objects)
        begun = (run_folder.path / "networks.json").exists()
        check_fingerprints(run_folder, fingerprints_of(recipe, inputs), progress, begun=begun)
        if inputs.train is not None and not inputs.labelled:
            progress.say(UNLABELLED)
        _check(recipe, inputs)
        _describe(recipe, run_folder, inputs)
        train = inputs.train
        count = None if train is None else len(train)
        planned = plan(recipe, count, _filled_classes(train), labelled=inputs.labelled)
        _run_all(planned, run_folder, inputs, progress)
        results = collect(run_folder.path, recipe)
        run_folder.write("results.json", results)
        progress.say("writing the report")
        write_comparison_report(run_folder.path)
        run_folder.set_state("finished")
    return results


def _run_all(planned: Sequence[PlannedRun], run_folder: RunFolder, inputs: Inputs, progress: Progress) -> None:
    pending = [one for one in planned if not RunFolder(run_folder.path / one.folder).finished]
    for one in pending:
        _make_room(one, RunFolder(run_folder.path / one.folder))
    done = len(planned) - len(pending)
    progress.begin("comparison", len(planned), done)
    for _ in run_tasks([RunTask(one) for one in pending], run_folder.path, inputs, progress):
        done += 1
        progress.update(done)
    progress.end()
    for one in planned:
        _keep_evidence(one, run_folder)


def _check_unchanged(planned: Sequence[PlannedRun], folder: Path) -> None:
    """A comparison may grow, but what it holds already was made by these very recipes; failed runs may be mended."""
    wrong, differences = [], {}
    for one in planned:
        changed = _changed(one, RunFolder(folder / one.folder), but="failed")
        differences |= {one.path: one for one in changed}
        if changed:
            wrong.append(f"{one.folder} differs in {'; '.join(map(str, changed[:3]))}")
    if wrong:
        raise UserError(
            f"{str(folder)!r} holds runs of another recipe: {'. '.join(wrong[:3])}. Arms, budgets and seeds may be "
            "added, but not changed; give a changed arm another name, or choose another --out. "
            f"{as_begun(list(differences.values()))}."
        )


def _changed(planned: PlannedRun, run_folder: RunFolder, *, but: str = "") -> list[Difference]:
    """Where a run's recipe differs from the one in its folder, which is not looked at in the state `but`."""
    if not run_folder.begun or run_folder.state == but:
        return []
    return run_folder.differences(planned.recipe.model_dump(mode="json", exclude={"compare"}), renewed)


def _make_room(planned: PlannedRun, run_folder: RunFolder) -> None:
    """Puts a failed run aside whose recipe was mended since."""
    if run_folder.state == "failed" and _changed(planned, run_folder):
        numbers = itertools.count(1)
        names = (run_folder.path.with_name(f"{run_folder.path.name}-failed-{number}") for number in numbers)
        run_folder.path.rename(next(name for name in names if not name.exists()))


def _check(recipe: Recipe, inputs: Inputs) -> None:
    """Everything about the recipe without its arms that does not fit together, before the first run."""
    student = build_student(recipe.student, inputs, seed=recipe.seed)
    inputs = match_student(inputs, student)
    if inputs.train is None:
        return
    check_parts(
        student,
        TransferSet(inputs.train),
        weighted_sum(recipe.resolved_objective(labelled=inputs.labelled)),
        recipe.training,
        inputs.teacher,
        inputs.validation,
    )


def _describe(recipe: Recipe, run_folder: RunFolder, inputs: Inputs) -> None:
    """Teacher and student, as the results quote them; measured once."""
    if run_folder.read("networks.json") is not None:
        return
    teacher, test, logits = inputs.teacher, inputs.test, inputs.teacher_test_logits
    assert teacher is not None
    assert test is not None
    assert test.labels is not None
    assert logits is not None
    student = build_student(recipe.student, inputs, seed=0)
    shape = inputs.shape
    measured = {"latency": recipe.latency, "device": PartialState(cpu=recipe.device == "cpu").device}  # as runs do
    run_folder.write(
        "networks.json",
        {
            "teacher": {
                "name": teacher.name,
                "evaluation": evaluate_logits(logits, test.labels, test.classes).to_dict(),
                "footprint": footprint(teacher, shape, **measured),
            },
            "student": {"name": student.name, "footprint": footprint(student, shape, **measured)},
            "labelled": inputs.labelled,
            "train_images": None if inputs.train is None else len(inputs.train),
            "train_classes": _filled_classes(inputs.train),
            "validation_images": 0 if inputs.validation is None else len(inputs.validation),
            "test_images": len(test),
        },
    )


def _filled_classes(images: ImageSet | None) -> int | None:
    """Classes that have images."""
    if images is None:
        return None
    return images.num_classes if images.labels is None else int(images.class_counts().count_nonzero())


def _keep_evidence(planned: PlannedRun, run_folder: RunFolder) -> None:
    """What an arm was taught on, as its first seed that finished shows it."""
    folder = run_folder.path / planned.folder
    made, kept = folder / EVIDENCE, run_folder.path / EVIDENCE / planned.group
    if made.exists() and not kept.exists() and RunFolder(folder).finished:  # one that failed may be mended to another
        with atomic_folder(kept) as folder:
            shutil.copytree(made, folder, dirs_exist_ok=True)
