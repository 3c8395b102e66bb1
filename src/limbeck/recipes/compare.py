"""A comparison: all planned runs, one after the other, each at most once."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from limbeck.errors import UserError
from limbeck.evaluation.evaluation import judge
from limbeck.evaluation.footprints import footprint
from limbeck.recipes.materials import Given, Materials, build_student
from limbeck.recipes.names import build_criterion
from limbeck.recipes.plan import Cell, plan
from limbeck.recipes.results import collect
from limbeck.recipes.run import gather, run
from limbeck.recipes.schema import Recipe
from limbeck.report import write_comparison_report
from limbeck.training.progress import Progress, Silent
from limbeck.training.record import RunRecord


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
    budgets and seeds may be added to a comparison later; whatever else shapes its runs may not change.

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
    with RunRecord.open(folder, described, resume=resume, may_change=("compare", "summary")) as record:
        materials = gather(recipe, record.folder, progress, given)
        _check(cells, materials)
        _describe(recipe, record, materials)
        _run_all(cells, record, materials, progress)
        results = collect(record.folder, recipe)
        record.write("results.json", results)
        progress.say("writing the report")
        write_comparison_report(record.folder)
        record.set_state("finished")
    return results


def _run_all(cells: Sequence[Cell], record: RunRecord, materials: Materials, progress: Progress) -> None:
    progress.begin("comparison", len(cells))
    for number, cell in enumerate(cells):
        progress.update(number, f"{cell.group}, seed {cell.recipe.seed}")
        try:
            run(cell.recipe, record.folder / cell.folder, resume=True, materials=materials, progress=progress)
            _keep_gallery(cell, record)
        except UserError as error:
            progress.say(f"{cell.group}, seed {cell.recipe.seed} failed: {error}")
    progress.update(len(cells))
    progress.end()


def _check(cells: Sequence[Cell], materials: Materials) -> None:
    """Every budget that cannot be met, before any work."""
    if materials.test is None:
        raise UserError("a comparison needs test images; name them under `data.test`.")
    wrong = {}
    for cell in cells:
        if cell.recipe.select is None or cell.budget is None:
            continue
        criterion = build_criterion(cell.recipe.select.criterion)
        try:
            cell.budget.resolve(materials.train, per_class=criterion.per_class)
        except UserError as error:
            wrong[str(error)] = None
    if wrong:
        raise UserError("\n".join(wrong))


def _describe(recipe: Recipe, record: RunRecord, materials: Materials) -> None:
    """Teacher and student, as the results quote them; measured once."""
    if record.read("networks.json") is not None:
        return
    teacher, test, logits = materials.teacher, materials.test, materials.teacher_test_logits
    assert teacher is not None and test is not None and test.labels is not None and logits is not None
    student = build_student(recipe.student, materials, seed=0)
    shape = materials.train.shape
    record.write(
        "networks.json",
        {
            "teacher": {
                "name": teacher.name,
                "evaluation": judge(logits, test.labels, test.classes).to_dict(),
                "footprint": footprint(teacher, shape, latency=recipe.latency),
            },
            "student": {"name": student.name, "footprint": footprint(student, shape, latency=recipe.latency)},
            "train_images": len(materials.train),
            "validation_images": 0 if materials.validation is None else len(materials.validation),
            "test_images": len(test),
        },
    )


def _keep_gallery(cell: Cell, record: RunRecord) -> None:
    """What an arm chose, as its first seed shows it."""
    made = record.folder / cell.folder / "gallery.safetensors"
    kept = record.folder / "galleries" / f"{cell.group}.safetensors"
    if made.exists() and not kept.exists():
        kept.parent.mkdir(exist_ok=True)
        shutil.copyfile(made, kept)
