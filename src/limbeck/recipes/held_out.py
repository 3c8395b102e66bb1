"""Validation images that a method makes itself, to choose among a student's states when there are no others."""

import json
import shutil
from pathlib import Path

import torch
from accelerate import PartialState

from limbeck.cost import Cost
from limbeck.data.image_set import ImageSet
from limbeck.data.transfer_set import TransferSet
from limbeck.errors import UserError
from limbeck.files import atomic_write_text
from limbeck.models.classifier import Classifier
from limbeck.progress import Progress
from limbeck.randomness import derive_seed
from limbeck.recipes.reading import parse_transfer
from limbeck.recipes.work_folder import beginning, making_folder
from limbeck.transfer.catalogue import find_maker
from limbeck.transfer.generate.generator_settings import AFTER_WARMUP, RENEWED_AFTER
from limbeck.transfer.generate.settings import GenerateSettings
from limbeck.transfer.maker import MakerContext

_HELD_OUT = "held-out"
"""Name of their folder, in the work folder of the transfer set."""
_OF_A_STUDENT = {
    "steps_per_round",
    "fresh",
    "replay",
    "adversarial",
    "adversarial_temperature",
    "adversary_early",
}
"""Settings that nothing reads before there is a student."""


def held_out_images(
    settings: GenerateSettings,
    teacher: Classifier,
    validation: ImageSet | int,
    shape: tuple[int, int, int],
    seed: int,
    target: Path,
    progress: Progress,
) -> tuple[ImageSet | None, Cost]:
    """Images that choose by agreement with the teacher, made by the same method without a student, and their cost.

    They are made before all others, with a seed of their own, and not trained on.

    Args:
        settings: of the images that a student learns from.
        teacher: in evaluation mode.
        validation: existing images, whose labels are ignored; how many to make; or 0 for none.
        shape: (C, H, W).
        seed: of the run.
        target: folder of the transfer set, in whose work folder they lie until that is there.
        progress: reports progress.

    Raises:
        UserError: `validation` is no valid number, the method makes images only against a student, or images were begun
            with other settings.
    """
    if isinstance(validation, ImageSet):
        return validation.with_labels(None, validation.classes), Cost()
    if not validation:
        return None, Cost()
    if isinstance(validation, bool) or validation < 1:
        raise UserError(f"`validation` must be images, or how many are to be made, at least 1, got {validation!r}.")
    alone = _without_student(settings, validation).settled(teacher.num_classes)
    folder, work_folder = making_folder(target) / _HELD_OUT, making_folder(target) / f"{_HELD_OUT}-making"
    context = MakerContext(
        folder=work_folder / "maker",
        pool=None,
        classes=teacher.classes,
        shape=shape,
        teacher=teacher,
        seed=derive_seed(seed, _HELD_OUT),
        device=PartialState().device or torch.device("cpu"),
        progress=progress,
    )
    _make(alone, context, work_folder, folder)
    images = TransferSet.load(folder).images
    cost = Cost.from_dict(json.loads((folder / "cost.json").read_text()))
    return images.with_labels(None, images.classes), cost


def _make(settings: GenerateSettings, context: MakerContext, work_folder: Path, folder: Path) -> None:
    """Makes the images in `work_folder` and saves them with their cost in `folder`, unless they are there."""
    maker = find_maker(settings.maker)
    maker.count(settings, context)
    if not work_folder.exists():
        shutil.rmtree(folder, ignore_errors=True)  # of an earlier version, which recorded no settings
    with beginning(work_folder, settings, context):
        if not (folder / "cost.json").is_file():
            made = maker.make(settings, context)
            shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
            made.source.images(0).save(folder)
            atomic_write_text(folder / "cost.json", json.dumps(made.cost.to_dict()) + "\n")


def _without_student(settings: GenerateSettings, count: int) -> GenerateSettings:
    """Settings of the same method for `count` images, without those that need a student."""
    weights = {**settings.losses.model_dump(), "adversarial": 0.0}
    if not any(weights.values()):
        raise UserError(
            f"`validation` of {count:,} images cannot be made by the method {settings.method!r}, which seeks "
            "nothing but what a student gets wrong: they are held out before there is one. Hand over images of "
            "anything, or give other `losses` a weight."
        )
    content = settings.model_dump(mode="json", exclude_unset=True, exclude=_OF_A_STUDENT)
    if not weights["batch_norm"]:
        content.pop("growth", None)  # it waits for losses, of which none is left
    content |= {"maker": settings.maker, "budget": count, "batch_size": min(settings.batch_size, count), "fresh": 0}
    content |= {"losses": {**content.get("losses", {}), "adversarial": 0.0}}
    content.pop("warmup_rounds", None)  # the default is in proportion to the budget, as is the call after it
    if settings.generator.renew_once == RENEWED_AFTER + (settings.warmup_rounds or 0):
        content["generator"] = {**content["generator"], "renew_once": AFTER_WARMUP}
    if content.get("homogenise"):
        content["homogenise"] = {**content["homogenise"], "until": 1.0}  # of rounds, uncounted without a student
    alone = parse_transfer({name: value for name, value in content.items() if value is not None}, (), alone=True)
    assert isinstance(alone, GenerateSettings)
    return alone
