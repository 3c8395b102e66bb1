"""The verb `generate`: a transfer set made from a teacher alone, with or without training a student meanwhile."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState

from limbeck.cost import Cost, RunCost
from limbeck.data.image_set import ImageSet
from limbeck.data.loading import load as load_images
from limbeck.data.own_splits import evaluation_split
from limbeck.data.transfer_set import TransferSet
from limbeck.errors import UserError
from limbeck.files import disk_errors, place_new
from limbeck.models.classifier import Classifier
from limbeck.models.fingerprint import fingerprint
from limbeck.progress import Progress, Silent
from limbeck.randomness import check_seed
from limbeck.recipes.evaluation_images import load_sized
from limbeck.recipes.fields import FROM_PYTHON
from limbeck.recipes.handed_images import name_of_images, source_of
from limbeck.recipes.held_out import held_out_images
from limbeck.recipes.image_sizes import KnownSize, shape_for, size_for_network, trained_size
from limbeck.recipes.inputs import Inputs, PythonObjects
from limbeck.recipes.making import context_for, evaluating, last_source
from limbeck.recipes.making_alone import context_alone, make_alone, whole_folder, write_whole
from limbeck.recipes.networks import load_network
from limbeck.recipes.reading import parse_recipe, parse_transfer
from limbeck.recipes.run import gather_inputs, run
from limbeck.recipes.run_result import RunResult
from limbeck.recipes.schema import Recipe
from limbeck.recipes.work_folder import check_new, making, making_folder
from limbeck.recipes.yaml_files import load_value, name_or_mapping, named_value
from limbeck.report import write_run_report
from limbeck.report.model_card import write_model_card
from limbeck.training.view_cache.known import keep_known
from limbeck.transfer.catalogue import find_maker
from limbeck.transfer.evidence import EVIDENCE, Evidence, read_evidence
from limbeck.transfer.generate.check import TeacherCheck, check_teacher
from limbeck.transfer.generate.counting import images_wanted, steps_to_fill
from limbeck.transfer.generate.settings import GenerateSettings
from limbeck.transfer.generate.source import GeneratingSource, check_other_network
from limbeck.transfer.generate.teacher_logits import with_teacher_logits

GENERATE = "generate"
_STUDENT = "student"
_ANY = 10**6  # images, where the number does not matter


@dataclass(frozen=True, kw_only=True)
class Learner:
    """The student that is trained while images are made, and how.

    Attributes:
        student: as a recipe has it under `student`.
        make: seed -> a fresh student, if it was handed over in Python.
        objective: as a recipe has it.
        training: settings of `TrainingSettings` that differ from the defaults of `recipe_with`.
        test: images to evaluate it on at the end.
        validation: images that choose among its states by agreement with the teacher, or how many to make for that
            beforehand, which are not trained on; 0 for none.
    """

    student: Mapping[str, Any]
    make: Callable[[int], Classifier] | None = None
    objective: Any = None
    training: Mapping[str, Any] = field(default_factory=dict)
    test: ImageSet | None = None
    validation: ImageSet | int = 0


def settings_to_generate(said: Mapping[str, Any], overrides: Sequence[str] = (), *, alone: bool) -> GenerateSettings:
    """Settings as a recipe has them under `transfer: {maker: generate, ...}`; None is as good as absent.

    Raises:
        UserError: lists everything that is wrong with the settings.
    """
    stated = {name: value for name, value in said.items() if value is not None}
    settings = parse_transfer({"maker": GENERATE, **stated}, overrides, alone=alone)
    assert isinstance(settings, GenerateSettings)
    return settings


def generate_images(
    settings: GenerateSettings,
    teacher: Classifier,
    *,
    learner: Learner | None = None,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    target: Path | None = None,
    progress: Progress | None = None,
) -> tuple[TransferSet, str]:
    """Makes images and saves the transfer set if there is a `target`; returns it and a summary.

    Args:
        settings: of the maker; with rounds if there is a learner, else without.
        teacher: with its weights.
        learner: the student to train meanwhile; its run folder becomes `<target>-student`.
        size: pixels a side, or (height, width); by default that of the test images, or else the teacher's input size.
        seed: of all random draws.
        target: a new folder. What is needed to resume lies in `<target>.making` until everything is saved.
        progress: reports progress.

    Raises:
        UserError: see `limbeck.generate`.
    """
    check_seed(seed)
    progress, teacher = progress or Silent(), evaluating(teacher)
    settings = settings.settled(teacher.num_classes)
    test = None if learner is None else learner.test
    shape = test.shape if test is not None and size is None else shape_for(teacher, size, GENERATE)
    if target is not None:
        check_new(target)
    if learner is not None:
        if target is None:
            raise UserError(
                "`out`, the folder of the transfer set, must be given with a `student`, which goes beside it."
            )
        return _with_student(settings, teacher, learner, shape, seed, target, progress)
    context_arguments: dict[str, Any] = {
        "pool": None,
        "classes": teacher.classes,
        "shape": shape,
        "teacher": teacher,
        "seed": seed,
        "device": PartialState().device or torch.device("cpu"),
        "progress": progress,
    }
    with context_alone(target, **context_arguments) as context:
        find_maker(settings.maker).count(settings, context)  # raises before any progress is reported
        progress.say("there is no student, so nothing is made against one (`losses.adversarial` is left out)")
        transfer_set, words = make_alone(settings, context, target)
        if target is not None:
            return transfer_set, words
        keep_known(transfer_set, teacher, progress)
        return _in_memory(transfer_set), words


def save_generated(
    said: Mapping[str, Any],
    target: Path | None,
    *,
    teacher: str,
    overrides: Sequence[str] = (),
    student: str | None = None,
    training: Sequence[str] = (),
    objective: str | None = None,
    test: str | None = None,
    validation: str | None = None,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> str:
    """Generates images as the command line asks and saves the transfer set; returns a summary.

    Args:
        said: `method` and `budget`.
        target: a new folder; by default in runs/.
        teacher: a network's name or folder.
        overrides: settings as "key=value".
        student: a network's name, or what a recipe has under `student`, in YAML.
        training: settings of its training as "key=value".
        objective: a name, or what a recipe has under `objective`, in YAML.
        test: labelled images to evaluate the student on.
        validation: how many validation images to make, or the name, folder or file of others.
        size, seed, progress: see `generate_images`.

    Raises:
        UserError: see `limbeck.generate`.
    """
    student_options = {
        "--training or --steps": training,
        "--objective": objective,
        "--test": test,
        "--validation": validation,
    }
    unused = [name for name, value in student_options.items() if value]
    if student is None and unused:
        raise UserError(f"`{unused[0]}` is of a student that learns meanwhile, and there is none; name a --student.")
    settings = settings_to_generate(said, overrides, alone=student is None)
    target = Path("runs") / f"generated-{settings.method}" if target is None else target
    check_new(target)
    network = load_network(teacher)
    test_images = None if test is None else _test_images(test, size, size_for_network(network, teacher), progress)
    if test_images is None and size is None:
        size = trained_size(teacher)
    learner = None
    if student is not None:
        wanted = None if objective is None else load_value(objective, f"`--objective` {objective!r}")
        changes = dict(named_value(text, "--training") for text in training)
        learner = Learner(
            student=name_or_mapping(student, "--student", "model", "{model: resnet8}"),
            objective=wanted,
            training=changes,
            test=test_images,
            validation=_choosing(validation, size if test_images is None else test_images.shape[1:]),
        )
    arguments = {"size": size, "seed": seed, "target": target, "progress": progress}
    return generate_images(settings, network, learner=learner, **arguments)[1]


def _test_images(
    test: str, size: int | tuple[int, int] | None, known: KnownSize | None, progress: Progress | None
) -> ImageSet:
    """Test images by name, in the given size, or else, if they have several sizes, in the teacher's."""
    say = (progress or Silent()).say
    split, why = evaluation_split(test)
    if why:
        say(why)
    return load_sized(test, split, known, say, **({} if size is None else {"size": size}))


def _choosing(validation: str | None, size: int | tuple[int, int] | None) -> ImageSet | int:
    """Validation images by name, or how many to make."""
    if validation is None or validation.isdecimal():
        return int(validation or 0)
    return load_images(validation, "train", size=size, labels=False)


def check_to_generate(
    said: Mapping[str, Any],
    teacher: str,
    *,
    overrides: Sequence[str] = (),
    size: int | tuple[int, int] | None = None,
) -> TeacherCheck:
    """Checks without any data what a teacher is good for, see `check_teacher`.

    Args:
        said: `method` and `budget`, neither of which is needed here.
        teacher: a network's name or folder.
        overrides: settings as "key=value".
        size: pixels a side of the images, or (height, width).

    Raises:
        UserError: settings or a teacher that cannot be read.
    """
    stated = {"budget": _ANY, **{name: value for name, value in said.items() if value is not None}}
    settings = settings_to_generate(stated, overrides, alone=False)
    network = evaluating(load_network(teacher))
    size = size or trained_size(teacher)
    return check_teacher(network, settings, shape=None if size is None else shape_for(network, size, GENERATE))


def student_folder(target: Path) -> Path:
    """The run folder of the student that is trained while `target` is made."""
    return target.with_name(f"{target.name}-{_STUDENT}")


def _with_student(
    settings: GenerateSettings,
    teacher: Classifier,
    learner: Learner,
    shape: tuple[int, int, int],
    seed: int,
    target: Path,
    progress: Progress,
) -> tuple[TransferSet, str]:
    if not _saved(target):
        check_new(student_folder(target))
    if learner.make is not None and isinstance(fresh := learner.make(seed), Classifier):
        check_other_network(teacher, fresh)  # before any image is held out
    recipe_with(settings, teacher, replace(learner, validation=0), seed)  # raises for invalid settings, likewise
    with making(target, progress):
        result = _teach_and_save(settings, teacher, learner, shape, seed, target, progress)
    transfer_set = TransferSet.load(target)
    return transfer_set, _summary(transfer_set, result, target)


def _saved(target: Path) -> bool:
    """Whether everything was saved by a process that was killed before it moved the set to `target`."""
    return student_folder(target).exists() and whole_folder(making_folder(target), target).exists()


def _teach_and_save(
    settings: GenerateSettings,
    teacher: Classifier,
    learner: Learner,
    shape: tuple[int, int, int],
    seed: int,
    target: Path,
    progress: Progress,
) -> RunResult:
    student, whole, saved = student_folder(target), whole_folder(making_folder(target), target), _saved(target)
    folder = student if saved else making_folder(target) / "run"
    held_out, spent = held_out_images(settings, teacher, learner.validation, shape, seed, target, progress)
    learner = replace(learner, validation=held_out or 0)
    recipe = recipe_with(settings, teacher, learner, seed)
    objects = PythonObjects(
        test=learner.test, validation=held_out, teacher=teacher, make_student=learner.make, shape=shape
    )
    inputs = gather_inputs(recipe, folder, progress, objects)
    result = run(recipe, folder, resume=True, inputs=inputs, progress=progress)
    if not saved:
        images, cost, evidence = _finished(recipe, inputs, folder, result, progress)
        write_whole(images, evidence, whole, cost + spent)
        with disk_errors(student):
            folder.rename(student)
    _put_in_place(whole, target, student)
    return result


def _put_in_place(whole: Path, target: Path, student: Path) -> None:
    """Finishes two complete folders: removes what was needed to resume, and moves the set to `target` last."""
    shutil.rmtree(student / "making", ignore_errors=True)
    write_run_report(student)
    write_model_card(student)
    with disk_errors(target):
        place_new(whole, target)
    shutil.rmtree(making_folder(target), ignore_errors=True)


def _summary(made: TransferSet, result: RunResult, target: Path) -> str:
    """A summary of the images and of the student."""
    evidence = read_evidence(target / EVIDENCE, pictures=False)
    assert evidence is not None
    accuracy = "" if result.evaluation is None else f", {100 * result.evaluation.top1:.2f} % on the test images"
    lines = [
        evidence.headline,
        f"{len(made):,} images -> {target}",
        f"the student that learned meanwhile{accuracy} -> {student_folder(target)}",
        f"report: {target / 'report.html'}",
    ]
    return "\n".join(lines)


def recipe_with(settings: GenerateSettings, teacher: Classifier, learner: Learner, seed: int) -> Recipe:
    """The recipe of a run that trains a student while images are made.

    By default with SGD and a cosine schedule, as in the methods' papers, on the views that inversion uses, for as many
    steps as fill the budget.
    """
    if learner.training.get("epochs") is not None:
        raise UserError(
            "`epochs` has no meaning while images are made, of which there are more from round to round; give `steps`."
        )
    steps = learner.training.get("steps")
    if steps is None:
        steps = steps_to_fill(settings, images_wanted(settings, teacher.num_classes))
    test, chooses = learner.test, learner.validation if isinstance(learner.validation, ImageSet) else None
    usual = {"batch_size": settings.batch_size, "learning_rate": 0.1, "weight_decay": 1e-4, "views": settings.views}
    usual |= {"validations": 0} if chooses is None else {}
    return parse_recipe(
        {
            "name": GENERATE,
            "seed": seed,
            "data": {
                "test": None if test is None else source_of(test),
                **({} if chooses is None else {"validation": {"name": name_of_images(chooses), "labels": False}}),
            },
            "teacher": {"weights": f"{FROM_PYTHON}{teacher.name}#{fingerprint(teacher)[:12]}"},
            "student": dict(learner.student),
            "objective": learner.objective or {"kd": 1.0},
            "transfer": settings.model_dump(mode="json"),
            "training": {**usual, **learner.training, "steps": steps},
            "latency": False,
        }
    )


def _finished(
    recipe: Recipe, inputs: Inputs, folder: Path, result: RunResult, progress: Progress
) -> tuple[TransferSet, Cost, Evidence]:
    """The images of a run, filled up if pruning left too few, with the teacher's logits; their cost and evidence."""
    source, inputs = last_source(recipe, inputs, folder, progress)
    assert isinstance(source, GeneratingSource)
    assert inputs.teacher is not None
    making_cost = RunCost.from_dict(result.cost).making or Cost()
    if not source.engine.full and not source.engine.endless:
        making_cost += source.fill(result.student.eval())
    transfer_set, labelling_cost = with_teacher_logits(source.images(0), inputs.teacher)
    if recipe.training.cache:
        keep_known(transfer_set, inputs.teacher, progress)
    assert recipe.transfer is not None
    context = context_for(recipe, inputs, folder, progress)
    evidence = find_maker(GENERATE).evidence(recipe.transfer, context, source)
    assert evidence is not None
    evidence.save(folder / EVIDENCE)
    return transfer_set, making_cost + labelling_cost, evidence


def _in_memory(made: TransferSet) -> TransferSet:
    """A copy in memory, independent of the files that the set was made in."""
    images = made.images
    copied = ImageSet(images.tensor().clone(), images.labels, ids=images.ids, classes=images.classes, name=images.name)
    return replace(made, images=copied, known_logits=None)
