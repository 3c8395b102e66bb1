"""A comparison: all planned runs, one after the other, each at most once."""

import itertools
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accelerate.state import PartialState

from limbeck.data.image_set import ImageSet
from limbeck.errors import UserError
from limbeck.evaluation.evaluation import judge
from limbeck.evaluation.footprints import footprint
from limbeck.objectives.sums import weighted_sum
from limbeck.recipes.inputs import check_inputs, inputs_of
from limbeck.recipes.matching import match_student
from limbeck.recipes.materials import Given, Materials, build_student
from limbeck.recipes.plan import Cell, plan
from limbeck.recipes.reading import renewed
from limbeck.recipes.results import UNLABELLED, collect
from limbeck.recipes.run import gather, run, trainings
from limbeck.recipes.schema import Recipe
from limbeck.report import write_comparison_report
from limbeck.training.checks import check_parts
from limbeck.training.launcher import check_launcher
from limbeck.training.progress import Progress, Silent
from limbeck.training.record import Difference, RunRecord, as_begun


def compare(
    recipe: Recipe,
    folder: str | Path,
    *,
    resume: bool = False,
    given: Given | None = None,
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
        given: objects in place of what the recipe names.
        progress: who watches.

    Raises:
        UserError: what can be known before the first run: names, budgets that cannot be met, classes that differ.
        Interrupted: stopped by Ctrl-C or SIGTERM; resume goes on.
    """
    progress = progress or Silent()
    cells = plan(recipe)
    described = recipe.model_dump(mode="json")
    check_launcher(*(one for cell in cells for one in trainings(cell.recipe)), cpu=recipe.device == "cpu")
    if resume:
        _check_unchanged(cells, Path(folder))
    with RunRecord.open(folder, described, resume=resume, may_change=("compare", "summary"), renew=renewed) as record:
        materials = gather(recipe, record.folder, progress, given)
        begun = (record.folder / "networks.json").exists()
        check_inputs(record, inputs_of(recipe, materials), progress, begun=begun)
        labelled = materials.train.labels is not None
        if not labelled:
            progress.say(UNLABELLED)
        _check(recipe, materials)
        _describe(recipe, record, materials)
        cells = plan(recipe, len(materials.train), _filled_classes(materials.train), labelled=labelled)
        _run_all(cells, record, materials, progress)
        results = collect(record.folder, recipe)
        record.write("results.json", results)
        progress.say("writing the report")
        write_comparison_report(record.folder)
        record.set_state("finished")
    return results


def _run_all(cells: Sequence[Cell], record: RunRecord, materials: Materials, progress: Progress) -> None:
    pending = [cell for cell in cells if not RunRecord(record.folder / cell.folder).finished]
    done = len(cells) - len(pending)
    progress.begin("comparison", len(cells), done)
    for number, cell in enumerate(pending):
        name = f"{cell.group}, seed {cell.recipe.seed}"
        progress.update(done + number, name)
        try:
            _make_room(cell, RunRecord(record.folder / cell.folder))
            folder = record.folder / cell.folder
            result = run(cell.recipe, folder, resume=True, materials=materials, progress=progress, inside=False)
        except Exception as error:  # whatever broke this arm, the others go on; its folder keeps the traceback
            progress.say(f"{name} failed: {error}")
        else:
            assert result.evaluation is not None
            progress.say(f"{name}: {result.evaluation.top1:.2%} in {result.cost['seconds']:.1f} s")
    progress.update(len(cells))
    progress.end()
    for cell in cells:
        _keep_gallery(cell, record)


def _check_unchanged(cells: Sequence[Cell], folder: Path) -> None:
    """A comparison may grow, but what it holds already was made by these very recipes; failed runs may be mended."""
    wrong, differences = [], {}
    for cell in cells:
        changed = _changed(cell, RunRecord(folder / cell.folder), but="failed")
        differences |= {one.path: one for one in changed}
        if changed:
            wrong.append(f"{cell.folder} differs in {'; '.join(map(str, changed[:3]))}")
    if wrong:
        raise UserError(
            f"{str(folder)!r} holds runs of another recipe: {'. '.join(wrong[:3])}. Arms, budgets and seeds may be "
            "added, but not changed; give a changed arm another name, or choose another --out. "
            f"{as_begun(list(differences.values()))}."
        )


def _changed(cell: Cell, record: RunRecord, *, but: str = "") -> list[Difference]:
    """Where a cell's recipe differs from the one in its folder, which is not looked at in the state `but`."""
    if not record.begun or record.state == but:
        return []
    return record.differences(cell.recipe.model_dump(mode="json", exclude={"compare"}), renewed)


def _make_room(cell: Cell, record: RunRecord) -> None:
    """Puts a failed run aside whose recipe was mended since."""
    if record.state == "failed" and _changed(cell, record):
        numbers = itertools.count(1)
        names = (record.folder.with_name(f"{record.folder.name}-failed-{number}") for number in numbers)
        record.folder.rename(next(name for name in names if not name.exists()))


def _check(recipe: Recipe, materials: Materials) -> None:
    """Everything about the recipe without its arms that does not fit together, before the first run."""
    student = build_student(recipe.student, materials, seed=recipe.seed)
    materials = match_student(materials, student)
    check_parts(
        student,
        materials.train,
        weighted_sum(recipe.resolved_objective(labelled=materials.train.labels is not None)),
        recipe.training,
        materials.teacher,
        None,
        materials.validation,
    )


def _describe(recipe: Recipe, record: RunRecord, materials: Materials) -> None:
    """Teacher and student, as the results quote them; measured once."""
    if record.read("networks.json") is not None:
        return
    teacher, test, logits = materials.teacher, materials.test, materials.teacher_test_logits
    assert teacher is not None
    assert test is not None
    assert test.labels is not None
    assert logits is not None
    student = build_student(recipe.student, materials, seed=0)
    shape = materials.train.shape
    measured = {"latency": recipe.latency, "device": PartialState(cpu=recipe.device == "cpu").device}  # as runs do
    record.write(
        "networks.json",
        {
            "teacher": {
                "name": teacher.name,
                "evaluation": judge(logits, test.labels, test.classes).to_dict(),
                "footprint": footprint(teacher, shape, **measured),
            },
            "student": {"name": student.name, "footprint": footprint(student, shape, **measured)},
            "labelled": materials.train.labels is not None,
            "train_images": len(materials.train),
            "train_classes": _filled_classes(materials.train),
            "validation_images": 0 if materials.validation is None else len(materials.validation),
            "test_images": len(test),
        },
    )


def _filled_classes(images: ImageSet) -> int:
    """Classes that have images."""
    return images.num_classes if images.labels is None else int(images.class_counts().count_nonzero())


def _keep_gallery(cell: Cell, record: RunRecord) -> None:
    """What an arm chose, as its first seed shows it."""
    made = record.folder / cell.folder / "gallery.safetensors"
    kept = record.folder / "galleries" / f"{cell.group}.safetensors"
    if made.exists() and not kept.exists():
        kept.parent.mkdir(exist_ok=True)
        shutil.copyfile(made, kept)
