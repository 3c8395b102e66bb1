"""One run of a recipe: make the transfer set, train the student on it, evaluate it, and write the results."""

import warnings
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from accelerate.state import PartialState

from limbeck.cost import Cost, RunCost
from limbeck.data.transfer_source import TransferSource
from limbeck.evaluation.prediction import predict
from limbeck.models.classifier import Classifier
from limbeck.models.shared_memory import shared_with
from limbeck.models.weights.folder import save as save_model
from limbeck.objectives.sums import weighted_sum
from limbeck.progress import Progress, Silent
from limbeck.recipes.doubts import doubt_teacher, overlaps, warn_of_strangers
from limbeck.recipes.extending import extending
from limbeck.recipes.fingerprints import check_fingerprints, describe_images, fingerprints_of
from limbeck.recipes.found_images import absent_classes, found_images, left_out
from limbeck.recipes.handed_images import renewing
from limbeck.recipes.inputs import (
    Inputs,
    PythonObjects,
    build_student,
    known_teacher_cost,
    load_images_of,
    load_weights,
    name_of_weights,
)
from limbeck.recipes.judging import by_labels, evaluate_student, look_inside, validation_of, validation_scores
from limbeck.recipes.labels import (
    objective_on,
    teacher_of,
    terms_without_teacher_outputs,
    warn_of_unread_soft_labels,
)
from limbeck.recipes.making import WithoutSoftLabels, keep_last_evidence, make_source
from limbeck.recipes.matching import match_images, match_student
from limbeck.recipes.metering import TEACHING, metered, metering
from limbeck.recipes.own_teacher import check_students
from limbeck.recipes.plugged import known_here_alone
from limbeck.recipes.run_checks import check_choices, check_with_pool, rehearse
from limbeck.recipes.run_result import RunResult, read_run, run_result
from limbeck.recipes.schema import Recipe
from limbeck.recipes.settings import StudentSettings
from limbeck.recipes.sources import is_transfer_set
from limbeck.recipes.students import best_student
from limbeck.recipes.tracked import last_numbers, tracking
from limbeck.recipes.trials import try_student
from limbeck.recipes.unread import unread_by_training
from limbeck.recipes.use import settings_followed, unlike_student, unlike_training
from limbeck.report.model_card import write_model_card
from limbeck.training.distributed import is_main_process
from limbeck.training.launcher import check_launcher, make_accelerator
from limbeck.training.loop import TrainingResult, fit
from limbeck.training.run_folder import RunFolder
from limbeck.training.settings import TrainingSettings
from limbeck.training.tracker_settings import check_tracker
from limbeck.training.tracking import RunTracker


def run(
    recipe: Recipe,
    folder: str | Path,
    *,
    resume: bool = False,
    inputs: Inputs | None = None,
    objects: PythonObjects | None = None,
    progress: Progress | None = None,
    shared: Path | None = None,
    inside: bool = True,
    until: Fraction | None = None,
) -> RunResult:
    """Runs a recipe in `folder`, or resumes what was begun there.

    Args:
        recipe: without `compare`.
        folder: the run folder; created if needed, never overwritten.
        resume: continue the run in `folder`; a finished one is only read, unless `recipe` is for more steps and its
            schedule allows it.
        inputs: images and teacher, if they are loaded already.
        objects: Python objects, in place of what the recipe names.
        progress: reports progress.
        shared: folder in which the runs of a comparison keep what several of them need.
        inside: keep the embeddings of teacher and student for the report; the runs of a comparison do without.
        until: share of the steps after which to pause; resuming continues from there, to the same student.

    Raises:
        UserError: anything the user can mend, before training starts if it can be known by then.
        Interrupted: stopped by Ctrl-C or SIGTERM; resume continues.
        Paused: `until` is reached.
    """
    progress = progress or Silent()
    folder = Path(folder)
    described = recipe.model_dump(mode="json", exclude={"compare"})
    check_tracker(recipe.tracker)
    check_launcher(*trainings(recipe), cpu=recipe.device == "cpu")
    writes = is_main_process(cpu=recipe.device == "cpu")
    renew = renewing(described, None if objects is None else objects.train)
    with RunFolder.open(
        folder, described, resume=resume, writes=writes, renew=renew, extend=extending(recipe, progress.say)
    ) as run_folder:
        PartialState().wait_for_everyone()  # the first process knows by now whether the run is to be extended
        if not run_folder.to_be_extended and run_folder.finished:  # in this order, as it may be extended meanwhile
            if inputs is None:
                progress.say(f"the run in {str(folder)!r} is finished already: nothing was run, these are its results")
            return read_run(folder, None if objects is None else objects.make_student)
        if inputs is None:
            inputs = gather_inputs(recipe, folder, progress, objects)
        if run_folder.writes:
            begun = run_folder.checkpoint.exists()
            check_fingerprints(run_folder, fingerprints_of(recipe, inputs), progress, begun=begun)
            run_folder.carry_out_extension()
        PartialState().wait_for_everyone()  # for the checkpoint to go on from
        with tracking(recipe, run_folder, of_comparison=shared is not None) as tracker:
            return _execute(recipe, run_folder, inputs, progress, shared, inside, until, tracker)


def gather_inputs(recipe: Recipe, folder: Path, progress: Progress, objects: PythonObjects | None = None) -> Inputs:
    """Loads the images, and loads the teacher or trains it in `folder`/teacher."""
    objects = objects or PythonObjects()
    for sentence in known_here_alone(recipe):
        progress.say(sentence)
    progress.say("loading images")
    inputs = load_images_of(recipe, objects)
    for line in _remarks_on_images(recipe, inputs):
        progress.say(line)
    if inputs.train is not None:  # before loading a teacher; without images, their shape comes from it
        check_choices(recipe, inputs, folder, trains=objects.teacher is None)
    inputs = _with_teacher(recipe, inputs, objects)
    _check_with_teacher(recipe, inputs, folder)
    make = objects.make_student
    if objects.teacher is not None and make is not None and shared_with(make(recipe.seed), objects.teacher):
        progress.say("student and teacher have modules in common; a copy is taught, and the teacher stays as it is")
    if inputs.teacher is not None or recipe.teacher is None:
        return inputs
    if not RunFolder(folder / "teacher").finished:
        progress.say(f"training the teacher {recipe.teacher.model}")
    alone = replace(inputs, make_student=None, soft_labels=None, validation=by_labels(inputs.validation))
    trained = run(teacher_recipe(recipe), folder / "teacher", resume=True, inputs=alone, progress=progress)
    return _with_trained_teacher(inputs, trained, folder)


def find_inputs(recipe: Recipe, folder: Path, objects: PythonObjects) -> Inputs:
    """Loads in another process what `gather_inputs` gathered in `folder`; nothing is trained or checked."""
    inputs = _with_teacher(recipe, load_images_of(recipe, objects), objects)
    if inputs.teacher is not None or recipe.teacher is None:
        return inputs
    trained = read_run(folder / "teacher")  # without its lock, as several processes may read at once
    return _with_trained_teacher(inputs, trained, folder)


def _remarks_on_images(recipe: Recipe, inputs: Inputs) -> list[str]:
    """What was found in folders, follows a transfer set's `use`, and is not held out."""
    remarks = [*found_images(recipe, inputs), *left_out(recipe, inputs), *absent_classes(inputs)]
    trains_on_them = recipe.transfer is None and recipe.compare is None
    if trains_on_them and (line := settings_followed(inputs.use or {}, recipe)):
        remarks.append(line)
    if inputs.train is not None and recipe.data.validation is None and inputs.validation is None:
        why = "they are a transfer set" if inputs.labelled else "they have no labels"
        remarks.append(f"no images are held out of {inputs.train.name} for validation: {why}")
    return remarks


def _with_teacher(recipe: Recipe, inputs: Inputs, objects: PythonObjects) -> Inputs:
    """The inputs with the teacher, unless it is yet to be trained, and with its order of classes."""
    teacher, settings = objects.teacher, recipe.teacher
    if teacher is None and settings is not None and settings.training is None:
        teacher = load_weights(settings)
    cost, named = None if objects.teacher is not None else known_teacher_cost(settings), name_of_weights(settings)
    return replace(match_images(inputs, teacher), teacher=teacher, teacher_cost=cost, teacher_named=named)


def _check_with_teacher(recipe: Recipe, inputs: Inputs, folder: Path) -> None:
    """Checks and warnings that wait for the teacher, or for knowing that it is yet to be trained."""
    teacher = inputs.teacher
    if inputs.train is None or teacher is not None:  # makers can check a teacher once it is loaded
        check_choices(recipe, inputs, folder, trains=teacher is None)
    if teacher is not None:
        warn_of_strangers(inputs.train or inputs.test, teacher, stacklevel=5)
    for line in [*overlaps(inputs), *unread_by_training(recipe, labelled=inputs.labelled, train=inputs.train)]:
        warnings.warn(line, stacklevel=4)
    rehearse(recipe, inputs)
    if teacher is not None:
        check_students(recipe, inputs, teacher)


def _with_trained_teacher(inputs: Inputs, taught: RunResult, folder: Path) -> Inputs:
    """The inputs with the teacher that was trained in a run's or comparison's folder."""
    cost, named = RunCost.from_dict(taught.cost).total, {"weights": str(folder / "teacher")}
    return replace(inputs, teacher=taught.student, teacher_cost=cost, teacher_named=named)


def trainings(recipe: Recipe) -> list[TrainingSettings]:
    """The training settings of a recipe's student and, if it is trained, its teacher."""
    teacher = None if recipe.teacher is None else recipe.teacher.training
    return [recipe.training, *([] if teacher is None else [teacher])]


def teacher_recipe(recipe: Recipe) -> Recipe:
    """The recipe of the run that trains a recipe's teacher from labels."""
    assert recipe.teacher is not None
    network = recipe.teacher.model_dump(exclude={"training", "objective"})
    return recipe.model_copy(
        update={
            "name": f"{recipe.name}-teacher",
            "summary": "",
            "teacher": None,
            "student": StudentSettings(**network),
            "objective": recipe.teacher.objective,
            "transfer": None,
            "training": recipe.teacher.training,
            "compare": None,
        }
    )


def _execute(
    recipe: Recipe,
    run_folder: RunFolder,
    inputs: Inputs,
    progress: Progress,
    shared: Path | None,
    inside: bool,
    until: Fraction | None,
    tracker: RunTracker | None,
) -> RunResult:
    """Makes, trains, evaluates; the results of each step are on disk before the next begins."""
    student = build_student(recipe.student, inputs, seed=recipe.seed)
    inputs = match_student(inputs, student)
    try_student(student, inputs)
    for line in unlike_student(inputs.use or {}, student):
        warnings.warn(f"{line}; taught so, it learns little.", stacklevel=4)
    if recipe.transfer is not None:  # otherwise the training loop checks its images at once
        check_with_pool(recipe, inputs, student)
    source, making = make_source(recipe, inputs, run_folder, progress, shared)
    result = _teach(recipe, run_folder, inputs, student, source, progress, until, tracker)
    chosen = best_student(result)
    test_logits = None if inputs.test is None else predict(result.student, inputs.test)
    evaluations = evaluate_student(recipe, result, chosen, inputs, test_logits)
    if shared is None and recipe.teacher is not None:  # a comparison warns once
        doubt_teacher(inputs, stacklevel=5)
    evaluations["validation"] = validation_scores(result, run_folder, validation_of(recipe, inputs))
    if run_folder.writes:
        if inside:
            look_inside(recipe, run_folder, result.student, inputs, test_logits)
        for network, name in ((result.student, "student"), (chosen, "student-chosen")):
            if network is not None:
                save_model(network, run_folder.path / name, taught_size=inputs.shape[1:])
        keep_last_evidence(recipe, inputs, run_folder, source, shared)
    cost = _cost(recipe, inputs, run_folder, source, making, result)
    run_folder.write("cost.json", cost)
    run_folder.write("evaluation.json", evaluations)
    if run_folder.writes:
        write_model_card(run_folder.path)
    run_folder.set_state("finished")
    if tracker is not None:
        tracker.finish(last_numbers(evaluations, cost), result.steps)
    return run_result(run_folder.path, result.student, chosen, evaluations, cost)


def _teach(
    recipe: Recipe,
    run_folder: RunFolder,
    inputs: Inputs,
    student: Classifier,
    source: TransferSource,
    progress: Progress,
    until: Fraction | None,
    tracker: RunTracker | None,
) -> TrainingResult:
    teacher = teacher_of(recipe, inputs)
    warn_of_unread_soft_labels(inputs, teacher)
    objective = recipe.resolved_objective(labelled=False)
    if source.steps_per_round is None:
        transfer_set = source.images(0)
        objective = objective_on(recipe, transfer_set)
        use = transfer_set.use or {}
        if terms := terms_without_teacher_outputs(recipe, transfer_set):
            progress.say(
                f"{transfer_set.images.name} bring hard labels alone, and no teacher is asked about them, so that "
                f"{', '.join(terms)} of the objective would have nothing to read; taught by {', '.join(objective)}"
            )
        unlike = unlike_student(use, student) if inputs.use is None else []
        for line in [*unlike, *unlike_training(use, recipe.training)]:
            progress.say(line)
        if recipe.transfer is not None and run_folder.writes:
            check_fingerprints(
                run_folder, {"transfer_set": describe_images(transfer_set.images)}, progress, begun=False
            )
    with metering(run_folder, TEACHING, together=True):
        return fit(
            student,
            source if teacher is None else WithoutSoftLabels(source),
            weighted_sum(objective),
            settings=recipe.training,
            run_folder=run_folder,
            seed=recipe.seed,
            teacher=teacher,
            validation=validation_of(recipe, inputs),
            validation_logits=None if teacher is None else inputs.teacher_validation_logits,
            accelerator=make_accelerator(recipe.training, cpu=recipe.device == "cpu"),
            progress=progress,
            until=until,
            tracker=tracker,
        )


def _cost(
    recipe: Recipe,
    inputs: Inputs,
    run_folder: RunFolder,
    source: TransferSource,
    making: Cost,
    result: TrainingResult,
) -> dict[str, Any]:
    """The content of `cost.json`; energy was metered for rounds and training together, and is divided by their time."""
    last = 0 if source.steps_per_round is None else (result.steps - 1) // source.steps_per_round
    energy = metered(run_folder, TEACHING)
    seconds = result.cost.seconds + result.rounds_cost.seconds
    share = result.rounds_cost.seconds / seconds if seconds else 0.0
    transfer_set = source.images(last)
    cost = RunCost(
        images=len(transfer_set) * transfer_set.per_image,
        real_images=_real_images(recipe, inputs, len(transfer_set)),
        making=making + replace(result.rounds_cost, kwh=share * energy.kwh, measured=energy.measured),
        teaching=replace(result.cost, kwh=(1 - share) * energy.kwh, measured=energy.measured),
        teacher=inputs.teacher_cost if recipe.teacher is not None else None,
    )
    return {**cost.to_dict(), "view_cache": result.view_cache}


def _real_images(recipe: Recipe, inputs: Inputs, made: int) -> int | None:
    """See `RunCost.real_images`; None for a transfer set made before, as it is unknown what that needed."""
    named = recipe.data.train is not None and is_transfer_set(recipe.data.train)
    if named or inputs.soft_labels is not None or inputs.use is not None:
        return None
    count = 0 if inputs.train is None else len(inputs.train)
    return count if recipe.transfer is None else recipe.transfer.real_images(count, made)
