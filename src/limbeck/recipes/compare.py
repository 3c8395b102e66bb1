"""A comparison: runs everything that is planned, in sequence or in parallel, each run at most once."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
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
from limbeck.recipes.computing import settle_threads
from limbeck.recipes.doubts import doubt_teacher
from limbeck.recipes.fingerprints import check_fingerprints, fingerprints_of
from limbeck.recipes.handed_images import renewing
from limbeck.recipes.handing_over import HandedOver, keep_teacher_logits, pack_objects
from limbeck.recipes.inputs import Inputs, PythonObjects, build_student
from limbeck.recipes.matching import match_student
from limbeck.recipes.named_files import named_by_arms
from limbeck.recipes.plan import PlannedRun, far_longer, plan, repeated
from limbeck.recipes.plugged import check_sendable
from limbeck.recipes.racing import Race
from limbeck.recipes.results import RESULTS, SUITED, collect, left_out
from limbeck.recipes.resuming import check_unchanged, go_on_longer, make_room, warn_of_unplanned
from limbeck.recipes.run import gather_inputs, trainings
from limbeck.recipes.run_tasks import Runs, RunTask, run_tasks
from limbeck.recipes.schema import Recipe
from limbeck.report import prepare_pages, write_comparison_report, write_tables
from limbeck.report.model_card import write_model_cards
from limbeck.training.checks import check_parts
from limbeck.training.distributed import is_main_process, process_token
from limbeck.training.extension import is_longer
from limbeck.training.launcher import check_launcher
from limbeck.training.run_folder import PAUSED, RunFolder
from limbeck.training.tracker_settings import check_tracker
from limbeck.training.validation import measure_on
from limbeck.transfer.evidence import EVIDENCE
from limbeck.workers import Crew, open_crew
from limbeck.workers.shares import check_workers


def compare(
    recipe: Recipe,
    folder: str | Path,
    *,
    resume: bool = False,
    objects: PythonObjects | None = None,
    progress: Progress | None = None,
    workers: int = 1,
) -> dict[str, Any]:
    """Runs a comparison in `folder` and writes results and report; returns the results (see `collect`).

    Finished runs are not repeated and begun ones are resumed; a failed arm is recorded and the others continue. Arms,
    budgets and seeds may be added to a comparison later, and failed arms fixed; nothing else that shapes its runs may
    change.

    Args:
        recipe: with `compare`.
        folder: created if needed, never overwritten.
        resume: continue the comparison in `folder`.
        objects: Python objects, in place of what the recipe names.
        progress: reports progress.
        workers: how many runs are done in parallel, each in a process of its own; 1 is this process. They are processes
            of this machine, or of the Ray cluster that this process is connected to or RAY_ADDRESS names. Their number
            changes nothing in the results but times, energy, and which passes of the teacher were saved.

    Raises:
        UserError: what can be known before the first run: names, budgets that cannot be met, classes that differ,
            objects that cannot be sent to workers; workers that keep dying.
        Interrupted: stopped by Ctrl-C or SIGTERM; resume continues.
    """
    progress = progress or Silent()
    _check_workers(workers)
    check_tracker(recipe.tracker)
    suited = _is_suited(Path(folder))
    planned = plan(recipe, suited=suited)
    check_launcher(*(training for run in planned for training in trainings(run.recipe)), cpu=recipe.device == "cpu")
    is_main_process(cpu=recipe.device == "cpu")  # sets this process's device, for the teacher's test pass too
    longer = check_unchanged(recipe, planned, Path(folder)) if resume else []
    if workers > 1:
        check_sendable(recipe)
    packed = pack_objects(objects) if workers > 1 else {}
    with (
        _opened(recipe, folder, resume=resume) as run_folder,
        _crew(planned, longer, run_folder, workers) as crew,  # workers import while this process loads and trains
    ):
        if crew is not None:
            crew.place.have_done(prepare_pages)
        inputs = gather_inputs(recipe, run_folder.path, progress, objects)
        fingerprints = fingerprints_of(recipe, inputs)
        begun = (run_folder.path / "networks.json").exists()
        named = named_by_arms(run.recipe for run in planned)
        check_fingerprints(run_folder, fingerprints | named, progress, begun=begun)
        for sentence in left_out(has_images=inputs.train is not None, labelled=inputs.labelled):
            progress.say(sentence)
        _check(recipe, inputs)
        _describe(recipe, run_folder, inputs)
        go_on_longer(longer, run_folder, progress)
        planned = _plan_for(recipe, inputs, progress, suited=suited)
        warn_of_unplanned(planned, run_folder.path)
        runs = Runs(run_folder.path, inputs, progress, settle_threads(planned, run_folder, inputs, workers, progress))
        if crew is not None:
            keep_teacher_logits(run_folder.path, fingerprints, inputs)
            runs = replace(runs, crew=crew, handed_over=HandedOver(recipe, packed, fingerprints, process_token()))
        _run_all(recipe, planned, run_folder, runs)
        return _finish(recipe, planned, run_folder, progress)


def _opened(recipe: Recipe, folder: str | Path, *, resume: bool) -> AbstractContextManager[RunFolder]:
    """The open folder of a comparison, whose runs may become more or longer."""
    described = recipe.model_dump(mode="json")
    return RunFolder.open(
        folder,
        described,
        resume=resume,
        may_change=("compare", "summary"),
        renew=renewing(described),
        extend=lambda _, changed: ([] if is_longer(changed) else changed, None),
    )


def _plan_for(recipe: Recipe, inputs: Inputs, progress: Progress, *, suited: bool) -> list[PlannedRun]:
    """The runs for the actual images; reports arms that repeat a control, and far longer runs."""
    count, classes = None if inputs.train is None else len(inputs.train), _filled_classes(inputs.train)
    planned = plan(recipe, count, classes, labelled=inputs.labelled, suited=suited)
    for sentence in [*repeated(planned), *far_longer(planned, count, classes)]:
        progress.say(sentence)
    return planned


def _finish(recipe: Recipe, planned: Sequence[PlannedRun], run_folder: RunFolder, progress: Progress) -> dict[str, Any]:
    """Writes results, report and model cards of a comparison whose runs have ended; returns the results."""
    results = collect(run_folder.path, recipe, planned)
    run_folder.write(RESULTS, results)
    progress.say("writing the report")
    write_comparison_report(run_folder.path)
    write_model_cards(run_folder.path, results)
    run_folder.set_state("finished")
    return results


def _is_suited(folder: Path) -> bool:
    """False for a comparison begun by an earlier version, which did not choose controls to suit each arm."""
    networks = RunFolder(folder).read("networks.json")
    return networks is None or networks.get(SUITED, False)


def _check_workers(workers: int) -> None:
    """Raises a UserError for an invalid number of workers, or if several processes share every run."""
    check_workers(workers)
    processes = int(os.environ.get("WORLD_SIZE") or 1)
    if processes > 1:
        raise UserError(
            f"a comparison cannot be done by {processes} processes that share every run, as `accelerate launch` and "
            "torchrun start them; start without these, and with `workers` (`--workers 2`) for several runs at once."
        )


@contextmanager
def _crew(
    planned: Sequence[PlannedRun], longer: Sequence[PlannedRun], run_folder: RunFolder, workers: int
) -> Iterator[Crew | None]:
    """At most as many workers as there are runs to do; None if one would do."""
    reopened = {run.folder for run in longer}
    folders = {run.folder for run in planned if run.repeats is None}
    pending = sum(folder in reopened or not RunFolder(run_folder.path / folder).finished for folder in folders)
    if min(workers, pending) < 2:
        yield None
        return
    with open_crew(min(workers, pending)) as crew:
        yield crew


def _run_all(recipe: Recipe, planned: Sequence[PlannedRun], run_folder: RunFolder, runs: Runs) -> None:
    with_repeats, planned = planned, [run for run in planned if run.repeats is None]
    pending = [run for run in planned if not RunFolder(run_folder.path / run.folder).finished]
    for run in pending:
        make_room(run, RunFolder(run_folder.path / run.folder))
    done = len(planned) - len(pending)
    race = _race(recipe, planned, runs)
    runs.progress.begin("comparison", len(planned), done)
    for tasks in [[RunTask(run) for run in pending]] if race is None else race.batches():
        dropped = 0 if race is None else race.runs_dropped()
        # Now, or the first run of the batch would seem to have added the dropped ones.
        runs.progress.update(done + dropped)
        for task in run_tasks(tasks, runs) if tasks else ():
            done += RunFolder(run_folder.path / task.planned.folder).state != PAUSED
            runs.progress.update(done + dropped)
            results = collect(run_folder.path, recipe, with_repeats)
            run_folder.write(RESULTS, results)  # reports are made from these if parts of the user's own are gone
            write_tables(run_folder.path, results)
    runs.progress.end()
    for run in with_repeats:
        _keep_evidence(run, run_folder)


def _race(recipe: Recipe, planned: Sequence[PlannedRun], runs: Runs) -> Race | None:
    """None if every run is to be finished."""
    assert recipe.compare is not None
    if recipe.compare.racing is None:
        return None
    assert runs.inputs.validation is not None, "checked before the teacher was trained"
    return Race(planned, recipe.compare.racing, runs.folder, len(runs.inputs.validation), say=runs.progress.say)


def _check(recipe: Recipe, inputs: Inputs) -> None:
    """Raises a UserError, before the first run, if parts of the recipe (apart from its arms) do not fit together."""
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
    """Writes what the results say of teacher and student, measured once."""
    if run_folder.read("networks.json") is not None:
        return
    teacher, test, logits = inputs.teacher, inputs.test, inputs.teacher_test_logits
    assert teacher is not None
    assert test is not None
    assert test.labels is not None
    assert logits is not None
    student = build_student(recipe.student, inputs, seed=0)
    shape = inputs.shape
    doubt_teacher(inputs, stacklevel=4)
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
            SUITED: True,
            "train_images": None if inputs.train is None else len(inputs.train),
            "train_classes": _filled_classes(inputs.train),
            "validation_images": 0 if inputs.validation is None else len(inputs.validation),
            **({} if inputs.validation is None else {"validation_measure": measure_on(inputs.validation)}),
            "test_images": len(test),
        },
    )


def _filled_classes(images: ImageSet | None) -> int | None:
    """How many classes have images."""
    if images is None:
        return None
    return images.num_classes if images.labels is None else int(images.class_counts().count_nonzero())


def _keep_evidence(planned: PlannedRun, run_folder: RunFolder) -> None:
    """Keeps the evidence of an arm's images, from its first seed that finished."""
    folder = run_folder.path / planned.folder
    source, target = folder / EVIDENCE, run_folder.path / EVIDENCE / planned.group
    if source.exists() and not target.exists() and RunFolder(folder).finished:  # failed runs may yet be mended
        with atomic_folder(target) as folder:
            shutil.copytree(source, folder, dirs_exist_ok=True)
