"""`limbeck validate`: opens what a recipe names, puts it together, and reports all that would fail; trains nothing."""

import tempfile
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from limbeck.autotune import unmeasured
from limbeck.caching import cache_folder
from limbeck.data.looking import broken_images
from limbeck.data.own_splits import TRAIN
from limbeck.data.transfer_set import TransferSet
from limbeck.errors import UserError, collecting
from limbeck.files import check_path, disk_errors, free_bytes
from limbeck.models.classifier import Classifier
from limbeck.models.published import NAMED
from limbeck.models.zoo import create
from limbeck.recipes.doubts import overlaps, strangers
from limbeck.recipes.downloads import (
    images_to_download,
    masks_to_download,
    pools_to_download,
    transfers_of,
    weights_to_download,
)
from limbeck.recipes.found_images import absent_classes, found_images, left_out
from limbeck.recipes.image_sizes import KnownSize
from limbeck.recipes.inheritance import made_by
from limbeck.recipes.inputs import Inputs, PythonObjects, build_student, load_images_of, load_weights, size_for_images
from limbeck.recipes.matching import match_images, match_student
from limbeck.recipes.own_teacher import check_students
from limbeck.recipes.plan import far_longer, plan
from limbeck.recipes.run import teacher_recipe, trainings
from limbeck.recipes.run_checks import check_choices, check_with_pool, rehearse
from limbeck.recipes.schema import Recipe
from limbeck.recipes.settings import DatasetSettings, StudentSettings
from limbeck.recipes.sources import NoSize, encoded_images, is_transfer_set, load_sources, sources_of
from limbeck.recipes.trials import try_criterion, try_run
from limbeck.recipes.unread import unread_by_training
from limbeck.training.launcher import check_launcher
from limbeck.training.run_folder import RunFolder
from limbeck.training.tracker_settings import check_tracker
from limbeck.transfer.condense.checks import check_torchcam

SECONDS = 3.0
"""For the headers of a data set, and as many again for its pixels."""
_LITTLE_ROOM = 200 * 2**20
_SHOWN = 3


@dataclass
class Findings:
    """What opening a recipe found.

    Attributes:
        problems: each would stop the run, in the order found.
        remarks: what was found, what could not be checked, what would be downloaded.
    """

    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def open_recipe(recipe: Recipe, folder: Path) -> Findings:
    """Opens images, weights and teacher of a recipe, and checks all that a run in `folder` checks before it trains.

    Nothing is downloaded, trained or written, except an empty file that is removed at once.
    """
    with unmeasured():
        return _opened(recipe, folder)


def _opened(recipe: Recipe, folder: Path) -> Findings:
    findings = Findings()
    with collecting(findings.problems):
        check_launcher(*trainings(recipe), cpu=recipe.device == "cpu")
    with collecting(findings.problems):
        check_tracker(recipe.tracker)
    with collecting(findings.problems):
        check_extras(recipe)
    for place in (folder, cache_folder()):
        with collecting(findings.problems):
            _check_writable(place)
    if RunFolder(folder).begun:
        findings.remarks.append(f"{str(folder)!r} holds a run already; --resume goes on with it, --out names another")
    loaded, known_size = _open_images(recipe, findings)
    teacher = _open_teacher(recipe, findings)
    missing = {part for part in sources_of(recipe.data) if part not in loaded}
    if TRAIN in missing or (recipe.data.train is None and teacher is None):
        return findings
    data = recipe.data.model_copy(update=dict.fromkeys(missing))
    objects = PythonObjects(**{part: transfer_set.images for part, transfer_set in loaded.items()}, **_carried(loaded))
    with collecting(findings.problems):
        inputs = load_images_of(recipe.model_copy(update={"data": data}), objects)
        inputs = replace(inputs, known_size=known_size)
        findings.remarks += [*found_images(recipe, inputs), *left_out(recipe, inputs), *absent_classes(inputs)]
        findings.remarks += overlaps(inputs, seconds=SECONDS, keep=False)
        findings.remarks += unread_by_training(recipe, labelled=inputs.labelled, train=inputs.train)
        _put_together(recipe, inputs, teacher, folder, findings)
    return findings


def check_extras(recipe: Recipe) -> None:
    """Raises a UserError for settings that need a missing library, which a run would only notice midway."""
    if any(settings.get("mask") for settings in transfers_of(recipe)):
        check_torchcam()


def _check_writable(folder: Path) -> None:
    check_path(folder)
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir():
        raise UserError(f"{str(folder)!r} cannot be a folder, for {str(existing)!r} is a file; choose another --out.")
    with disk_errors(existing), tempfile.TemporaryFile(dir=existing):
        pass
    if (free := free_bytes(existing)) < _LITTLE_ROOM:
        raise UserError(f"the disk of {str(folder)!r} has {free / 2**20:.0f} MB left; make room, or choose another.")


def _open_images(recipe: Recipe, findings: Findings) -> tuple[dict[str, TransferSet], KnownSize | None]:
    """The images that are on this disk, not decoded as a whole, and the size that they will be resized to."""
    loaded: dict[str, TransferSet] = {}
    known_size: KnownSize | None = None
    no_size = ""
    for part, source in sources_of(recipe.data).items():
        with collecting(findings.problems):
            if where := images_to_download(source.name, source.split or part):
                findings.remarks.append(f"`data.{part}`: {source.name} would be downloaded from {where}")
                continue
            if _look_at(part, source, findings):
                continue
            at_hand = source if is_transfer_set(source) else source.model_copy(update={"in_memory": False})
            sources = {**sources_of(recipe.data), part: at_hand}
            train = None if TRAIN not in loaded else loaded[TRAIN].images
            try:
                opened = load_sources(
                    sources, partial(size_for_images, recipe, PythonObjects()), only=(part,), train=train
                )
            except NoSize as error:  # reported once, as one key mends it for all
                no_size = no_size or str(error)
                continue
            loaded |= opened.parts
            known_size = known_size or opened.size
    findings.problems += [no_size] if no_size else []
    return loaded, known_size


def _look_at(part: str, source: DatasetSettings, findings: Findings) -> bool:
    """Whether images are broken that may not be skipped; reports the first ones, and how many were decoded."""
    images = None if source.skip_unreadable else encoded_images(source, part)
    if images is None:
        return False
    broken, decoded = broken_images(images, seconds=SECONDS)
    if decoded < len(images):
        findings.remarks.append(f"`data.{part}`: of {len(images):,} images, {decoded:,} were decoded to look at them")
    if broken:
        more = f" and {len(broken) - _SHOWN:,} more" if len(broken) > _SHOWN else ""
        findings.problems.append(
            f"`data.{part}`: {'; '.join(broken[:_SHOWN])}{more}. Mend or remove them, or leave them out by "
            "`data.skip_unreadable: true`."
        )
    return bool(broken)


def _open_teacher(recipe: Recipe, findings: Findings) -> Classifier | None:
    """The teacher with its weights; if these would be downloaded, its network without them, if that is known."""
    settings = recipe.teacher
    if settings is None or settings.training is not None:
        return None
    if where := weights_to_download(settings):
        findings.remarks.append(f"`teacher`: {settings.weights or settings.model} would be downloaded from {where}")
        named = NAMED.get((settings.weights or "").casefold())
        if named is None:
            return None
        shown = {"classes": named.classes, "mean": named.mean, "std": named.std}
        return create(named.model, num_classes=len(named.classes), **shown)
    if settings.weights and not Path(settings.weights).exists() and made_by(settings.weights):
        return None  # `describe` says which command makes it
    with collecting(findings.problems):
        return load_weights(settings)
    return None


def _put_together(recipe: Recipe, inputs: Inputs, teacher: Classifier | None, folder: Path, findings: Findings) -> None:
    """Checks all that a run checks once images and teacher are loaded."""
    trains = recipe.teacher is not None and recipe.teacher.training is not None
    if teacher is not None or recipe.teacher is None or trains:  # the classes of any other teacher are unknown yet
        inputs = _matched(inputs, teacher, findings)
    if absent := {**pools_to_download(recipe), **masks_to_download(recipe)}:
        findings.remarks += [f"{name} would be downloaded from {where}" for name, where in absent.items()]
    elif recipe.teacher is None or teacher is not None or trains:
        with collecting(findings.problems):
            check_choices(recipe, inputs, folder, trains=trains)
    if recipe.teacher is not None and teacher is None and not trains:
        return
    if teacher is not None:
        with collecting(findings.problems):
            check_students(recipe, inputs, teacher)
    if trains:
        with collecting(findings.problems):
            network = _fresh(teacher_recipe(recipe).student, "teacher", findings)
            inputs = replace(inputs, teacher=build_student(network, inputs, seed=recipe.seed))
        if inputs.teacher is None:
            return  # the rest would report that there is no teacher, though the recipe names one
    _try_runs(recipe, inputs, findings)


def _matched(inputs: Inputs, teacher: Classifier | None, findings: Findings) -> Inputs:
    """The inputs with a teacher that has weights, which makers use, and classes in one order, as a run has them.

    Where they do not match without such a teacher, the test images are left out, since all that comes after would only
    report the same of them.
    """
    with collecting(findings.problems):
        inputs = replace(match_images(inputs, teacher), teacher=teacher)
        if teacher is not None and (images := inputs.train or inputs.test) is not None:
            findings.remarks += strangers(images, teacher)
        return inputs
    return inputs if teacher is not None else replace(inputs, test=None)


def _try_runs(recipe: Recipe, inputs: Inputs, findings: Findings) -> None:
    """Tries each distinct criterion, and each distinct run of a recipe or its arms."""
    planned = [] if recipe.compare is None else plan(recipe, labelled=inputs.labelled)
    if inputs.train is not None:
        findings.remarks += far_longer(planned, len(inputs.train), inputs.train.num_classes)
    runs = [recipe] if recipe.compare is None else [run.recipe for run in planned]
    seen: set[str] = set()
    for run in runs:
        chosen_by = repr(getattr(run.transfer, "criterion", None))
        if chosen_by not in seen:
            seen.add(chosen_by)
            with collecting(findings.problems):
                try_criterion(run, inputs, inputs.teacher)
        described = repr((run.student, run.objective, run.training, run.teacher is None))
        if described in seen:
            continue
        seen.add(described)
        student = _fresh(run.student, "student", findings)
        if weights_to_download(student):
            continue  # its network is unknown until the weights are downloaded
        with collecting(findings.problems):
            _check_run(run.model_copy(update={"student": student}), inputs)


def _fresh(network: StudentSettings, who: str, findings: Findings) -> StudentSettings:
    """The network with random weights in place of those that timm would download, which is remarked on."""
    where = weights_to_download(network)
    if not where:
        return network
    line = f"`{who}`: {network.weights or network.model} would be downloaded from {where}"
    if line not in findings.remarks:
        findings.remarks.append(line)
    if network.weights:
        return network
    options = {option: value for option, value in network.options.items() if option != "pretrained"}
    return network.model_copy(update={"options": options})


def _check_run(recipe: Recipe, inputs: Inputs) -> None:
    rehearse(recipe, inputs)
    student = build_student(recipe.student, inputs, seed=recipe.seed)
    matched = match_student(inputs, student)
    if matched.train is None:
        return
    check_with_pool(recipe, matched, student)
    try_run(recipe, matched, student, matched.teacher if recipe.teacher is not None else None)


def _carried(loaded: dict[str, TransferSet]) -> dict[str, Any]:
    train = loaded.get(TRAIN)
    return {} if train is None else {"soft_labels": train.soft_targets, "use": train.use}
