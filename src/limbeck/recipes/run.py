"""One run of a recipe: choose the images, teach the student on them, judge it, write everything down."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from limbeck.data.image_set import ImageSet
from limbeck.data.soft_targets import SoftTargets
from limbeck.data.transfer_set import TransferSet
from limbeck.errors import UserError
from limbeck.evaluation.energy import EnergyMeter
from limbeck.evaluation.evaluation import Evaluation, evaluate, evaluate_logits
from limbeck.evaluation.model_size import footprint
from limbeck.evaluation.prediction import predict
from limbeck.evaluation.similarity import INSIDE_FILE, save_inside
from limbeck.files import atomic_path, atomic_write_text
from limbeck.models.classifier import Classifier
from limbeck.models.shared_memory import load_tensors, own_memory, private_copy, shared_with
from limbeck.models.weights.adapt import load_state
from limbeck.models.weights.folder import load as load_model
from limbeck.models.weights.folder import save as save_model
from limbeck.objectives.sums import weighted_sum
from limbeck.progress import Progress, Silent
from limbeck.recipes.fields import find_criterion
from limbeck.recipes.fingerprints import check_fingerprints, describe_images, fingerprints_of
from limbeck.recipes.inputs import Inputs, PythonObjects, build_student, load_images_of, load_weights
from limbeck.recipes.labels import unlabelled, untaught_teacher, warn_of_unread_soft_labels
from limbeck.recipes.matching import match_images, match_student
from limbeck.recipes.plan import plan
from limbeck.recipes.reading import renewed
from limbeck.recipes.schema import Recipe, StudentSettings
from limbeck.training.distributed import is_main_process
from limbeck.training.launcher import check_launcher, make_accelerator
from limbeck.training.loop import TrainingResult, fit
from limbeck.training.run_folder import RunFolder
from limbeck.training.settings import TrainingSettings
from limbeck.transfer.budget import parse_budget
from limbeck.transfer.details import save_gallery
from limbeck.transfer.scoring.features import check_installed
from limbeck.transfer.select.choose import select
from limbeck.transfer.selection import Selection

_CLASSES = "classes.json"
"""Class names of a student that no name rebuilds, beside its weights."""


@dataclass(frozen=True)
class RunResult:
    """A finished run.

    Attributes:
        folder: where everything about it is.
        student: after the last step.
        chosen: at its best validation, None without validation images.
        evaluation: on the test images, after the last step; None without test images.
        evaluation_chosen: the same of `chosen`.
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


def run(
    recipe: Recipe,
    folder: str | Path,
    *,
    resume: bool = False,
    inputs: Inputs | None = None,
    objects: PythonObjects | None = None,
    progress: Progress | None = None,
    inside: bool = True,
) -> RunResult:
    """Runs a recipe in `folder`, or goes on with what was begun there.

    Args:
        recipe: without `compare`.
        folder: the run folder; made if need be, never overwritten.
        resume: go on with the run in `folder`; a finished one is only read.
        inputs: images and teacher, where they are loaded already.
        objects: those handed over in Python, in place of what the recipe names.
        progress: who watches.
        inside: keep what the report needs to look inside teacher and student; the runs of a comparison do without.

    Raises:
        UserError: anything the user can mend, before the training starts where it can be known.
        Interrupted: stopped by Ctrl-C or SIGTERM; resume goes on.
    """
    progress = progress or Silent()
    folder = Path(folder)
    described = recipe.model_dump(mode="json", exclude={"compare"})
    check_launcher(*trainings(recipe), cpu=recipe.device == "cpu")
    writes = is_main_process(cpu=recipe.device == "cpu")
    with RunFolder.open(folder, described, resume=resume, writes=writes, renew=renewed) as run_folder:
        if run_folder.finished:
            return read_run(folder, None if objects is None else objects.make_student)
        if inputs is None:
            inputs = gather(recipe, folder, progress, objects)
        return _execute(recipe, run_folder, inputs, progress, inside)


def gather(recipe: Recipe, folder: Path, progress: Progress, objects: PythonObjects | None = None) -> Inputs:
    """Loads the images, and loads the teacher or trains it in `folder`/teacher."""
    objects = objects or PythonObjects()
    progress.say("loading images")
    inputs = load_images_of(recipe, objects)
    if recipe.data.validation is None and inputs.validation is None:
        why = "they have no labels" if inputs.train.labels is None else "they are a transfer set"
        progress.say(f"no images are held out of {inputs.train.name} for validation: {why}")
    teacher = objects.teacher
    _check_choices(recipe, inputs, trains=teacher is None)
    if teacher is None and recipe.teacher is not None and recipe.teacher.training is None:
        teacher = load_weights(recipe.teacher)
    inputs = replace(match_images(inputs, teacher), teacher=teacher)
    _rehearse(recipe, inputs)
    made = objects.make_student
    if objects.teacher is not None and made is not None and shared_with(made(recipe.seed), objects.teacher):
        progress.say("student and teacher have modules in common; a copy is taught, and the teacher stays as it is")
    if teacher is not None or recipe.teacher is None:
        return inputs
    if not RunFolder(folder / "teacher").finished:
        progress.say(f"training the teacher {recipe.teacher.model}")
    alone = replace(inputs, make_student=None, soft_labels=None)
    taught = run(teacher_recipe(recipe), folder / "teacher", resume=True, inputs=alone, progress=progress)
    return replace(inputs, teacher=taught.student)


def _check_choices(recipe: Recipe, inputs: Inputs, *, trains: bool) -> None:
    """What is wrong with budgets and objectives shows here, before a teacher is loaded or trained for hours."""
    labelled = inputs.train.labels is not None
    wrong = {}
    for cell in plan(recipe, labelled=labelled) if recipe.compare is not None else ():
        wrong |= _unmet(cell.recipe, inputs) | unlabelled(cell.recipe, inputs, f"arm {cell.arm!r}: ")
    wrong |= _unmet(recipe, inputs) | ({} if recipe.compare is not None else unlabelled(recipe, inputs))
    wrong |= untaught_teacher(recipe, inputs) if trains else {}
    if wrong:
        raise UserError("\n".join(wrong))


def _rehearse(recipe: Recipe, inputs: Inputs) -> None:
    """What is wrong with the student shows here, before a teacher is trained for hours."""
    student = build_student(recipe.student, inputs, seed=recipe.seed)
    match_student(inputs, student)
    if inputs.test is not None and student.num_classes != inputs.test.num_classes:
        raise UserError(
            f"the student {student.name} tells {student.num_classes} classes apart, but the test images have "
            f"{inputs.test.num_classes}; set `student.num_classes: {inputs.test.num_classes}`."
        )


def _unmet(recipe: Recipe, inputs: Inputs) -> dict[str, None]:
    """Why no images can be chosen as a recipe says, if they cannot."""
    if recipe.select is None:
        return {}
    criterion = find_criterion(recipe.select.criterion)
    if criterion.needs_teacher and recipe.teacher is None:
        return {f"criterion {criterion.name!r} asks a teacher, and the recipe has none; give it a `teacher`.": None}
    try:
        check_installed(criterion)
        parse_budget(recipe.select.budget).resolve(inputs.train, per_class=criterion.per_class)
    except UserError as error:
        return {str(error): None}
    return {}


def trainings(recipe: Recipe) -> list[TrainingSettings]:
    """How a recipe trains its student and, if it does, its teacher."""
    teacher = None if recipe.teacher is None else recipe.teacher.training
    return [recipe.training, *([] if teacher is None else [teacher])]


def teacher_recipe(recipe: Recipe) -> Recipe:
    """The run that makes a recipe's teacher out of labels."""
    assert recipe.teacher is not None
    network = recipe.teacher.model_dump(exclude={"training", "objective"})
    return recipe.model_copy(
        update={
            "name": f"{recipe.name}-teacher",
            "summary": "",
            "teacher": None,
            "student": StudentSettings(**network),
            "objective": recipe.teacher.objective,
            "select": None,
            "training": recipe.teacher.training,
            "compare": None,
        }
    )


def read_run(folder: str | Path, make_student: Callable[[int], Classifier] | None = None) -> RunResult:
    """A finished run from its folder.

    Args:
        folder: of the run.
        make_student: seed -> a student for the weights, where no name rebuilds it.

    Raises:
        UserError: the folder holds no finished run, or one of a student that has no name to rebuild it by.
    """
    run_folder = RunFolder(Path(folder))
    if not run_folder.finished:
        raise UserError(f"{str(folder)!r} holds no finished run (state: {run_folder.state}); finish it with --resume.")
    judged = run_folder.read("evaluation.json", {})
    marks = {key: Evaluation.from_dict(judged[key]) if judged.get(key) else None for key in ("last", "chosen")}
    chosen = run_folder.path / "student-chosen"
    return RunResult(
        folder=run_folder.path,
        student=_load_student(run_folder.path / "student", make_student),
        chosen=_load_student(chosen, make_student) if chosen.exists() else None,
        evaluation=marks["last"],
        evaluation_chosen=marks["chosen"],
        cost=run_folder.read("cost.json", {}),
    )


def _execute(recipe: Recipe, run_folder: RunFolder, inputs: Inputs, progress: Progress, inside: bool) -> RunResult:
    if run_folder.writes:
        check_fingerprints(run_folder, fingerprints_of(recipe, inputs), progress, begun=run_folder.checkpoint.exists())
    student = build_student(recipe.student, inputs, seed=recipe.seed)
    inputs = match_student(inputs, student)
    images, soft_labels, selection = _transfer_set(recipe, inputs, progress)
    if selection is not None and run_folder.writes:
        check_fingerprints(run_folder, {"transfer_set": describe_images(images)}, progress, begun=False)
    labelled = images.labels is not None
    teacher = inputs.teacher if recipe.teacher is not None else None
    warn_of_unread_soft_labels(inputs, teacher)
    with _metering(run_folder):
        result = fit(
            student,
            _with_soft_labels(images, soft_labels if teacher is None else None),
            weighted_sum(recipe.resolved_objective(labelled=labelled, soft_labels=soft_labels is not None)),
            settings=recipe.training,
            run_folder=run_folder,
            seed=recipe.seed,
            teacher=teacher,
            validation=inputs.validation,
            accelerator=make_accelerator(recipe.training, cpu=recipe.device == "cpu"),
            progress=progress,
        )
    chosen = _chosen_student(result)
    cost = _cost(result, run_folder, images)
    test_logits = None if inputs.test is None else predict(result.student, inputs.test)
    judged = _judge(recipe, result, chosen, inputs, test_logits)
    if run_folder.writes:
        if inside:
            _look_inside(recipe, run_folder, result.student, inputs, test_logits)
        _save_student(result.student, run_folder.path / "student")
        if chosen is not None:
            _save_student(chosen, run_folder.path / "student-chosen")
        if selection is not None:
            selection.to_parquet(run_folder.path / "selection.parquet")
            save_gallery(run_folder.path / "gallery.safetensors", inputs.train, selection)
    run_folder.write("cost.json", cost)
    run_folder.write("evaluation.json", judged)
    run_folder.set_state("finished")
    marks = {key: Evaluation.from_dict(judged[key]) if judged[key] else None for key in ("last", "chosen")}
    return RunResult(run_folder.path, result.student, chosen, marks["last"], marks["chosen"], cost)


def _transfer_set(
    recipe: Recipe, inputs: Inputs, progress: Progress
) -> tuple[ImageSet, SoftTargets | None, Selection | None]:
    """The images to teach on and their soft labels: all of them, or the chosen ones in the order of their ids."""
    if recipe.select is None:
        return inputs.train, inputs.soft_labels, None
    selection = select(
        inputs.train,
        criterion=find_criterion(recipe.select.criterion),
        budget=recipe.select.budget,
        seed=recipe.seed,
        teacher=inputs.teacher,
        progress=progress,
    )
    ids = selection.ids.sort().values
    soft_labels = inputs.soft_labels
    if soft_labels is not None:
        soft_labels = soft_labels.rows(inputs.train.positions(ids))
    return inputs.train.subset(ids), soft_labels, selection


def _with_soft_labels(images: ImageSet, soft_labels: SoftTargets | None) -> TransferSet:
    if soft_labels is None:
        return TransferSet(images)
    kind, temperature = soft_labels.kind, soft_labels.temperature
    return TransferSet(images, soft_labels.values, soft_label_kind=kind, soft_label_temperature=temperature)


def _chosen_student(result: TrainingResult) -> Classifier | None:
    if result.best is None:
        return None
    chosen = private_copy(result.student, "student")
    load_tensors(chosen, result.best.weights)
    return chosen


def _save_student(student: Classifier, folder: Path) -> None:
    """Ready to load; of a network that was made outside limbeck, the weights alone."""
    if student.config is not None:
        save_model(student, folder)
        return
    folder.mkdir(exist_ok=True)
    with atomic_path(folder / "model.safetensors") as temporary:
        save_file(own_memory(student.network.state_dict()), temporary)
    atomic_write_text(folder / _CLASSES, json.dumps(student.classes) + "\n")


def _load_student(folder: Path, make: Callable[[int], Classifier] | None) -> Classifier:
    if make is None or (folder / "config.json").exists():
        return load_model(folder)
    student = make(0)
    load_state(student, folder / "model.safetensors")
    if (folder / _CLASSES).exists():
        student.classes = tuple(json.loads((folder / _CLASSES).read_text()))
    return student.eval()


def _judge(
    recipe: Recipe,
    result: TrainingResult,
    chosen: Classifier | None,
    inputs: Inputs,
    test_logits: Tensor | None,
) -> dict[str, Any]:
    """Marks on the test images of the last student, whose logits are known, and of the validation-chosen one."""
    shape = inputs.train.shape
    judged: dict[str, Any] = {
        "footprint": footprint(result.student, shape, latency=recipe.latency),
        "last": None,
        "chosen": None,
        "chosen_step": result.best.step if result.best else None,
    }
    if inputs.test is None or test_logits is None:
        return judged
    assert inputs.test.labels is not None
    logits = inputs.teacher_test_logits
    last = evaluate_logits(test_logits, inputs.test.labels, inputs.test.classes, logits)
    judged["last"] = last.to_dict()
    if chosen is not None and result.best is not None:
        same = result.best.step == result.steps
        judged["chosen"] = judged["last"] if same else evaluate(chosen, inputs.test, teacher_logits=logits).to_dict()
    return judged


def _look_inside(
    recipe: Recipe, run_folder: RunFolder, student: Classifier, inputs: Inputs, test_logits: Tensor | None
) -> None:
    """Leaves for the report what teacher and student make of the test images."""
    teacher, logits = inputs.teacher, inputs.teacher_test_logits
    if recipe.teacher is None or teacher is None or logits is None or test_logits is None or not recipe.inside:
        return
    assert inputs.test is not None
    path = run_folder.path / INSIDE_FILE
    save_inside(path, student, teacher, inputs.test, test_logits, logits, most=recipe.inside)


def _cost(result: TrainingResult, run_folder: RunFolder, images: ImageSet) -> dict[str, Any]:
    return {
        "images": len(images),
        "teacher_passes": result.teacher_passes,
        "teacher_passes_saved": result.teacher_passes_saved,
        "view_cache": result.view_cache,
        "student_steps": result.steps,
        "seconds": round(result.seconds, 2),
        "energy": run_folder.read("energy.json"),
    }


@contextmanager
def _metering(run_folder: RunFolder) -> Iterator[None]:
    """Adds the energy of what happens inside to what earlier parts of an interrupted run took."""
    meter = EnergyMeter()
    try:
        with meter:
            yield
    finally:
        before = run_folder.read("energy.json") or {"kwh": 0.0}
        energy = meter.energy
        run_folder.write("energy.json", {**energy, "kwh": before["kwh"] + energy["kwh"]})
