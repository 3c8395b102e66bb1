"""Images that a method makes for itself to choose among a student's states by, where there are no others."""

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
from limbeck.recipes.making_alone import beginning, making_folder
from limbeck.recipes.reading import parse_transfer
from limbeck.transfer.catalogue import find_maker
from limbeck.transfer.generate.settings import GenerateSettings
from limbeck.transfer.maker import MakerContext

_HELD_OUT = "held-out"
"""Beside what is being made."""


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

    They are made with a seed of their own before all others, and nobody is taught on them.

    Args:
        settings: of the images that a student learns from.
        teacher: in evaluation mode.
        validation: images that there are, whose labels are left aside; how many are to be made; or 0 for none.
        shape: (C, H, W).
        seed: of the run.
        target: folder of the transfer set, beside which they lie until that is there.
        progress: who watches.

    Raises:
        UserError: a number that is none, a method that makes images against a student alone, or images that were begun
            otherwise.
    """
    if isinstance(validation, ImageSet):
        return validation.with_labels(None, validation.classes), Cost()
    if not validation:
        return None, Cost()
    if isinstance(validation, bool) or validation < 1:
        raise UserError(f"`validation` must be images, or how many are to be made, at least 1, got {validation!r}.")
    weights = {**settings.losses.model_dump(), "adversarial": 0.0}
    if not any(weights.values()):
        raise UserError(
            f"`validation` of {validation:,} images cannot be made by the method {settings.method!r}, which seeks "
            "nothing but what a student gets wrong: they are held out before there is one. Hand over images of "
            "anything, or give other `losses` a weight."
        )
    alone = _without_student(settings, validation).settled(teacher.num_classes)
    folder, making = making_folder(target) / _HELD_OUT, making_folder(target) / f"{_HELD_OUT}-making"
    context = MakerContext(
        folder=making / "maker",
        pool=None,
        classes=teacher.classes,
        shape=shape,
        teacher=teacher,
        seed=derive_seed(seed, _HELD_OUT),
        device=PartialState().device or torch.device("cpu"),
        progress=progress,
    )
    maker = find_maker(alone.maker)
    maker.count(alone, context)
    if not making.exists():
        shutil.rmtree(folder, ignore_errors=True)  # of an earlier version, which noted nothing
    with beginning(making, alone, context):
        if not (folder / "cost.json").is_file():
            made = maker.make(alone, context)
            shutil.rmtree(folder, ignore_errors=True)  # of one that was killed
            made.source.images(0).save(folder)
            atomic_write_text(folder / "cost.json", json.dumps(made.cost.to_dict()) + "\n")
    images = TransferSet.load(folder).images
    cost = Cost.from_dict(json.loads((folder / "cost.json").read_text()))
    return images.with_labels(None, images.classes), cost


def _without_student(settings: GenerateSettings, count: int) -> GenerateSettings:
    """The same method for so many images, without what hangs on a student."""
    content = settings.model_dump(mode="json", exclude_unset=True, exclude={"steps_per_round", "fresh", "replay"})
    content |= {"maker": settings.maker, "budget": count, "batch_size": min(settings.batch_size, count), "fresh": 0}
    content |= {"losses": {**content.get("losses", {}), "adversarial": 0.0}}
    content.pop("warmup_rounds", None)  # in proportion to their number
    if content.get("homogenise"):
        content["homogenise"] = {**content["homogenise"], "until": 1.0}  # of rounds that no student counts
    alone = parse_transfer({name: value for name, value in content.items() if value is not None}, (), alone=True)
    assert isinstance(alone, GenerateSettings)
    return alone
