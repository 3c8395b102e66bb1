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
from limbeck.objectives.sums import weighted_sum
from limbeck.progress import Progress, Silent
from limbeck.recipes.fingerprints import check_fingerprints, fingerprints_of
from limbeck.recipes.inputs import Inputs, PythonObjects, build_student
from limbeck.recipes.matching import match_student
from limbeck.recipes.plan import Cell, plan
from limbeck.recipes.reading import renewed
from limbeck.recipes.results import UNLABELLED, collect
from limbeck.recipes.run import gather, run, trainings
from limbeck.recipes.schema import Recipe
from limbeck.report import write_comparison_report
from limbeck.training.checks import check_parts
from limbeck.training.distributed import is_main_process
from limbeck.training.launcher import check_launcher
from limbeck.training.run_folder import Difference, RunFolder, as_begun


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
    cells = plan(recipe)
    described = recipe.model_dump(mode="json")
    check_launcher(*(one for cell in cells for one in trainings(cell.recipe)), cpu=recipe.device == "cpu")
    is_main_process(cpu=recipe.device == "cpu")  # settles where this process computes, the teacher's test pass too
    if resume:
        _check_unchanged(cells, Path(folder))
    with RunFolder.open(
        folder, described, resume=resume, may_change=("compare", "summary"), renew=renewed
    ) as run_folder:
        inputs = gather(recipe, run_folder.path, progress, objects)
        begun = (run_folder.path / "networks.json").exists()
        check_fingerprints(run_folder, fingerprints_of(recipe, inputs), progress, begun=begun)
        labelled = inputs.train.labels is not None
        if not labelled:
            progress.say(UNLABELLED)
        _check(recipe, inputs)
        _describe(recipe, run_folder, inputs)
        cells = plan(recipe, len(inputs.train), _filled_classes(inputs.train), labelled=labelled)
        _run_all(cells, run_folder, inputs, progress)
        results = collect(run_folder.path, recipe)
        run_folder.write("results.json", results)
        progress.say("writing the report")
        write_comparison_report(run_folder.path)
        run_folder.set_state("finished")
    return results


def _run_all(cells: Sequence[Cell], run_folder: RunFolder, inputs: Inputs, progress: Progress) -> None:
    pending = [cell for cell in cells if not RunFolder(run_folder.path / cell.folder).finished]
    done = len(cells) - len(pending)
    progress.begin("comparison", len(cells), done)
    for number, cell in enumerate(pending):
        name = f"{cell.group}, seed {cell.recipe.seed}"
        progress.update(done + number, name)
        try:
            _make_room(cell, RunFolder(run_folder.path / cell.folder))
            folder = run_folder.path / cell.folder
            result = run(cell.recipe, folder, resume=True, inputs=inputs, progress=progress, inside=False)
        except Exception as error:  # whatever broke this arm, the others go on; its folder keeps the traceback
            progress.say(f"{name} failed: {error}")
        else:
            assert result.evaluation is not None
            progress.say(f"{name}: {result.evaluation.top1:.2%} in {result.cost['seconds']:.1f} s")
    progress.update(len(cells))
    progress.end()
    for cell in cells:
        _keep_gallery(cell, run_folder)


def _check_unchanged(cells: Sequence[Cell], folder: Path) -> None:
    """A comparison may grow, but what it holds already was made by these very recipes; failed runs may be mended."""
    wrong, differences = [], {}
    for cell in cells:
        changed = _changed(cell, RunFolder(folder / cell.folder), but="failed")
        differences |= {one.path: one for one in changed}
        if changed:
            wrong.append(f"{cell.folder} differs in {'; '.join(map(str, changed[:3]))}")
    if wrong:
        raise UserError(
            f"{str(folder)!r} holds runs of another recipe: {'. '.join(wrong[:3])}. Arms, budgets and seeds may be "
            "added, but not changed; give a changed arm another name, or choose another --out. "
            f"{as_begun(list(differences.values()))}."
        )


def _changed(cell: Cell, run_folder: RunFolder, *, but: str = "") -> list[Difference]:
    """Where a cell's recipe differs from the one in its folder, which is not looked at in the state `but`."""
    if not run_folder.begun or run_folder.state == but:
        return []
    return run_folder.differences(cell.recipe.model_dump(mode="json", exclude={"compare"}), renewed)


def _make_room(cell: Cell, run_folder: RunFolder) -> None:
    """Puts a failed run aside whose recipe was mended since."""
    if run_folder.state == "failed" and _changed(cell, run_folder):
        numbers = itertools.count(1)
        names = (run_folder.path.with_name(f"{run_folder.path.name}-failed-{number}") for number in numbers)
        run_folder.path.rename(next(name for name in names if not name.exists()))


def _check(recipe: Recipe, inputs: Inputs) -> None:
    """Everything about the recipe without its arms that does not fit together, before the first run."""
    student = build_student(recipe.student, inputs, seed=recipe.seed)
    inputs = match_student(inputs, student)
    check_parts(
        student,
        TransferSet(inputs.train),
        weighted_sum(recipe.resolved_objective(labelled=inputs.train.labels is not None)),
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
    shape = inputs.train.shape
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
            "labelled": inputs.train.labels is not None,
            "train_images": len(inputs.train),
            "train_classes": _filled_classes(inputs.train),
            "validation_images": 0 if inputs.validation is None else len(inputs.validation),
            "test_images": len(test),
        },
    )


def _filled_classes(images: ImageSet) -> int:
    """Classes that have images."""
    return images.num_classes if images.labels is None else int(images.class_counts().count_nonzero())


def _keep_gallery(cell: Cell, run_folder: RunFolder) -> None:
    """What an arm chose, as its first seed shows it."""
    made = run_folder.path / cell.folder / "gallery.safetensors"
    kept = run_folder.path / "galleries" / f"{cell.group}.safetensors"
    if made.exists() and not kept.exists():
        kept.parent.mkdir(exist_ok=True)
        shutil.copyfile(made, kept)
