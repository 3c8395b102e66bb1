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
from limbeck.errors import UserError
from limbeck.evaluation.energy import EnergyMeter
from limbeck.evaluation.evaluation import Evaluation, evaluate, judge
from limbeck.evaluation.footprints import footprint
from limbeck.evaluation.inside import INSIDE_FILE, save_inside
from limbeck.evaluation.prediction import predict
from limbeck.files import atomic_path, atomic_write_text
from limbeck.models.classifier import Classifier
from limbeck.models.foreign import load_state
from limbeck.models.shared_memory import load_tensors, own_memory, private_copy, shared_with
from limbeck.models.weights import load as load_model
from limbeck.models.weights import save as save_model
from limbeck.objectives.sums import weighted_sum
from limbeck.recipes.inputs import check_inputs, describe_images, inputs_of
from limbeck.recipes.labels import unlabelled, untaught_teacher, warn_of_unread_soft_labels
from limbeck.recipes.matching import match_images, match_student
from limbeck.recipes.materials import Given, Materials, build_student, load_images_of, load_weights
from limbeck.recipes.names import build_criterion
from limbeck.recipes.plan import plan
from limbeck.recipes.reading import renewed
from limbeck.recipes.schema import Recipe, StudentSettings
from limbeck.training.launcher import check_launcher, make_accelerator
from limbeck.training.loop import TrainingResult, fit
from limbeck.training.processes import is_main_process
from limbeck.training.progress import Progress, Silent
from limbeck.training.record import RunRecord
from limbeck.training.settings import TrainingSettings
from limbeck.transfer.select.budget import parse_budget
from limbeck.transfer.select.features import check_installed
from limbeck.transfer.select.galleries import save_gallery
from limbeck.transfer.select.selection import Selection, select

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
    materials: Materials | None = None,
    given: Given | None = None,
    progress: Progress | None = None,
    inside: bool = True,
) -> RunResult:
    """Runs a recipe in `folder`, or goes on with what was begun there.

    Args:
        recipe: without `compare`.
        folder: the run folder; made if need be, never overwritten.
        resume: go on with the run in `folder`; a finished one is only read.
        materials: images and teacher, where they are loaded already.
        given: objects in place of what the recipe names.
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
    with RunRecord.open(folder, described, resume=resume, writes=writes, renew=renewed) as record:
        if record.finished:
            return read_run(folder, None if given is None else given.make_student)
        if materials is None:
            materials = gather(recipe, folder, progress, given)
        return _execute(recipe, record, materials, progress, inside)


def gather(recipe: Recipe, folder: Path, progress: Progress, given: Given | None = None) -> Materials:
    """Loads the images, and loads the teacher or trains it in `folder`/teacher."""
    given = given or Given()
    progress.say("loading images")
    materials = load_images_of(recipe, given)
    if recipe.data.validation is None and materials.validation is None:
        why = "they have no labels" if materials.train.labels is None else "they are a transfer set"
        progress.say(f"no images are held out of {materials.train.name} for validation: {why}")
    teacher = given.teacher
    _check_choices(recipe, materials, trains=teacher is None)
    if teacher is None and recipe.teacher is not None and recipe.teacher.training is None:
        teacher = load_weights(recipe.teacher)
    materials = replace(match_images(materials, teacher), teacher=teacher)
    _rehearse(recipe, materials)
    made = given.make_student
    if given.teacher is not None and made is not None and shared_with(made(recipe.seed), given.teacher):
        progress.say("student and teacher have modules in common; a copy is taught, and the teacher stays as it is")
    if teacher is not None or recipe.teacher is None:
        return materials
    if not RunRecord(folder / "teacher").finished:
        progress.say(f"training the teacher {recipe.teacher.model}")
    alone = replace(materials, make_student=None, soft_labels=None)
    taught = run(teacher_recipe(recipe), folder / "teacher", resume=True, materials=alone, progress=progress)
    return replace(materials, teacher=taught.student)


def _check_choices(recipe: Recipe, materials: Materials, *, trains: bool) -> None:
    """What is wrong with budgets and objectives shows here, before a teacher is loaded or trained for hours."""
    labelled = materials.train.labels is not None
    wrong = {}
    for cell in plan(recipe, labelled=labelled) if recipe.compare is not None else ():
        wrong |= _unmet(cell.recipe, materials) | unlabelled(cell.recipe, materials, f"arm {cell.arm!r}: ")
    wrong |= _unmet(recipe, materials) | ({} if recipe.compare is not None else unlabelled(recipe, materials))
    wrong |= untaught_teacher(recipe, materials) if trains else {}
    if wrong:
        raise UserError("\n".join(wrong))


def _rehearse(recipe: Recipe, materials: Materials) -> None:
    """What is wrong with the student shows here, before a teacher is trained for hours."""
    student = build_student(recipe.student, materials, seed=recipe.seed)
    match_student(materials, student)
    if materials.test is not None and student.num_classes != materials.test.num_classes:
        raise UserError(
            f"the student {student.name} tells {student.num_classes} classes apart, but the test images have "
            f"{materials.test.num_classes}; set `student.num_classes: {materials.test.num_classes}`."
        )


def _unmet(recipe: Recipe, materials: Materials) -> dict[str, None]:
    """Why no images can be chosen as a recipe says, if they cannot."""
    if recipe.select is None:
        return {}
    criterion = build_criterion(recipe.select.criterion)
    if criterion.needs_teacher and recipe.teacher is None:
        return {f"criterion {criterion.name!r} asks a teacher, and the recipe has none; give it a `teacher`.": None}
    try:
        check_installed(criterion)
        parse_budget(recipe.select.budget).resolve(materials.train, per_class=criterion.per_class)
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
    record = RunRecord(Path(folder))
    if not record.finished:
        raise UserError(f"{str(folder)!r} holds no finished run (state: {record.state}); finish it with --resume.")
    judged = record.read("evaluation.json", {})
    marks = {key: Evaluation.from_dict(judged[key]) if judged.get(key) else None for key in ("last", "chosen")}
    chosen = record.folder / "student-chosen"
    return RunResult(
        folder=record.folder,
        student=_load_student(record.folder / "student", make_student),
        chosen=_load_student(chosen, make_student) if chosen.exists() else None,
        evaluation=marks["last"],
        evaluation_chosen=marks["chosen"],
        cost=record.read("cost.json", {}),
    )


def _execute(recipe: Recipe, record: RunRecord, materials: Materials, progress: Progress, inside: bool) -> RunResult:
    if record.writes:
        check_inputs(record, inputs_of(recipe, materials), progress, begun=record.checkpoint.exists())
    student = build_student(recipe.student, materials, seed=recipe.seed)
    materials = match_student(materials, student)
    images, soft_labels, selection = _transfer_set(recipe, materials, progress)
    if selection is not None and record.writes:
        check_inputs(record, {"transfer_set": describe_images(images)}, progress, begun=False)
    labelled = images.labels is not None
    teacher = materials.teacher if recipe.teacher is not None else None
    warn_of_unread_soft_labels(materials, teacher)
    with _metering(record):
        result = fit(
            student,
            images,
            weighted_sum(recipe.resolved_objective(labelled=labelled, soft_labels=soft_labels is not None)),
            settings=recipe.training,
            record=record,
            seed=recipe.seed,
            teacher=teacher,
            soft_labels=soft_labels if teacher is None else None,
            validation=materials.validation,
            accelerator=make_accelerator(recipe.training, cpu=recipe.device == "cpu"),
            progress=progress,
        )
    chosen = _chosen_student(result)
    cost = _cost(result, record, images)
    test_logits = None if materials.test is None else predict(result.student, materials.test)
    judged = _judge(recipe, result, chosen, materials, test_logits)
    if record.writes:
        if inside:
            _look_inside(recipe, record, result.student, materials, test_logits)
        _save_student(result.student, record.folder / "student")
        if chosen is not None:
            _save_student(chosen, record.folder / "student-chosen")
        if selection is not None:
            selection.to_parquet(record.folder / "selection.parquet")
            save_gallery(record.folder / "gallery.safetensors", materials.train, selection)
    record.write("cost.json", cost)
    record.write("evaluation.json", judged)
    record.set_state("finished")
    marks = {key: Evaluation.from_dict(judged[key]) if judged[key] else None for key in ("last", "chosen")}
    return RunResult(record.folder, result.student, chosen, marks["last"], marks["chosen"], cost)


def _transfer_set(
    recipe: Recipe, materials: Materials, progress: Progress
) -> tuple[ImageSet, SoftTargets | None, Selection | None]:
    """The images to teach on and their soft labels: all of them, or the chosen ones in the order of their ids."""
    if recipe.select is None:
        return materials.train, materials.soft_labels, None
    selection = select(
        materials.train,
        criterion=build_criterion(recipe.select.criterion),
        budget=recipe.select.budget,
        seed=recipe.seed,
        teacher=materials.teacher,
        watch=progress,
        known=materials.answers,
    )
    ids = selection.ids.sort().values
    soft_labels = materials.soft_labels
    if soft_labels is not None:
        soft_labels = soft_labels.rows(materials.train.positions(ids))
    return materials.train.subset(ids), soft_labels, selection


def _chosen_student(result: TrainingResult) -> Classifier | None:
    if result.chosen is None:
        return None
    chosen = private_copy(result.student, "student")
    load_tensors(chosen, result.chosen.weights)
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
    materials: Materials,
    test_logits: Tensor | None,
) -> dict[str, Any]:
    """Marks on the test images of the last student, whose logits are known, and of the validation-chosen one."""
    shape = materials.train.shape
    judged: dict[str, Any] = {
        "footprint": footprint(result.student, shape, latency=recipe.latency),
        "last": None,
        "chosen": None,
        "chosen_step": result.chosen.step if result.chosen else None,
    }
    if materials.test is None or test_logits is None:
        return judged
    assert materials.test.labels is not None
    logits = materials.teacher_test_logits
    judged["last"] = judge(test_logits, materials.test.labels, materials.test.classes, logits).to_dict()
    if chosen is not None and result.chosen is not None:
        same = result.chosen.step == result.steps
        judged["chosen"] = judged["last"] if same else evaluate(chosen, materials.test, teacher_logits=logits).to_dict()
    return judged


def _look_inside(
    recipe: Recipe, record: RunRecord, student: Classifier, materials: Materials, test_logits: Tensor | None
) -> None:
    """Leaves for the report what teacher and student make of the test images."""
    teacher, logits = materials.teacher, materials.teacher_test_logits
    if recipe.teacher is None or teacher is None or logits is None or test_logits is None or not recipe.inside:
        return
    assert materials.test is not None
    path = record.folder / INSIDE_FILE
    save_inside(path, student, teacher, materials.test, test_logits, logits, most=recipe.inside)


def _cost(result: TrainingResult, record: RunRecord, images: ImageSet) -> dict[str, Any]:
    return {
        "images": len(images),
        "teacher_passes": result.teacher_passes,
        "teacher_passes_saved": result.teacher_passes_saved,
        "view_cache": result.view_cache,
        "student_steps": result.steps,
        "seconds": round(result.seconds, 2),
        "energy": record.read("energy.json"),
    }


@contextmanager
def _metering(record: RunRecord) -> Iterator[None]:
    """Adds the energy of what happens inside to what earlier parts of an interrupted run took."""
    meter = EnergyMeter()
    try:
        with meter:
            yield
    finally:
        before = record.read("energy.json") or {"kwh": 0.0}
        energy = meter.energy
        record.write("energy.json", {**energy, "kwh": before["kwh"] + energy["kwh"]})
