"""The verb `make`: a transfer set by any maker, saved on its own."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from accelerate import PartialState

from limbeck.caching import cache_folder
from limbeck.cost import Cost
from limbeck.data.transfer_set import TransferSet
from limbeck.errors import UserError
from limbeck.files import atomic_write_text, disk_errors, nearest_folder, place_new, takes_files
from limbeck.progress import Progress, Silent
from limbeck.recipes.evaluation_images import load_sized
from limbeck.recipes.image_sizes import shape_for, size_for_network, trained_size
from limbeck.recipes.inputs import Inputs
from limbeck.recipes.metering import MAKING, at_least, metered, metering
from limbeck.recipes.networks import load_network
from limbeck.recipes.reading import parse_transfer
from limbeck.recipes.work_folder import beginning, check_new, making, making_folder
from limbeck.report import write_selection_report
from limbeck.report.formats import plural
from limbeck.training.run_folder import RunFolder
from limbeck.training.view_cache.known import keep_known
from limbeck.transfer.catalogue import find_maker
from limbeck.transfer.evidence import EVIDENCE, Evidence
from limbeck.transfer.maker import Made, MakerContext
from limbeck.transfer.settings import MakerSettings


def save_made(
    settings: Mapping[str, Any],
    target: Path,
    *,
    overrides: Sequence[str] = (),
    data: str | None = None,
    split: str = "train",
    teacher: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    **options: Any,
) -> str:
    """Makes a transfer set and saves it in `target`, with evidence, cost and a report; returns a summary.

    What a maker needs to resume, and the settings it was begun with, lie in `<target>.making` until everything is made.

    Args:
        settings: as in a recipe under `transfer`.
        target: a new folder.
        overrides: more settings, "key=value" each.
        data, split, options: see `limbeck.load`; for makers that need images. Without `data`, `size` is that of the
            images to make.
        teacher: a network's name or folder, for makers that need one.
        seed: of all random draws.
        progress: reports progress.

    Raises:
        UserError: unknown settings; images or a teacher are missing; the target exists, or was begun with other
            settings, images or teacher; the maker makes images while a student learns.
    """
    check_new(target)
    maker_settings = parse_transfer(settings, overrides, alone=True)
    if maker_settings.needs_pool and data is None:
        raise UserError(f"{maker_settings.title} takes its images from DATA, and none is given; name a data set.")
    if maker_settings.needs_teacher and teacher is None:
        raise UserError(f"{maker_settings.title} asks a teacher, and none is given; give --teacher.")
    network = None if teacher is None else load_network(teacher)
    size = options.pop("size", None) or trained_size(teacher) if data is None else None
    known_size = None if network is None or data is None else size_for_network(network, teacher)
    say = None if progress is None else progress.say
    images = None if data is None else load_sized(data, split, known_size, say, **options)
    inputs = Inputs(images, None, None, teacher=network)
    if inputs.train is None and network is None:
        raise UserError(
            f"{maker_settings.title} needs DATA or --teacher to tell classes and size of the images; give one."
        )
    context = MakerContext(
        folder=making_folder(target) / "maker",
        pool=inputs.train,
        classes=inputs.classes.names,
        shape=inputs.shape if network is None or size is None else shape_for(network, size),
        teacher=network,
        teacher_named=None if teacher is None else {"weights": teacher},
        seed=seed,
        kept=kept_folder(),
        device=PartialState().device or torch.device("cpu"),
        progress=progress or Silent(),
    )
    return summary(*make_and_save(maker_settings, context, target), target)


@contextmanager
def context_alone(target: Path | None, **arguments: Any) -> Iterator[MakerContext]:
    """The context of a maker that works in the work folder of `target`, or in a temporary folder without a target.

    Args:
        target: a new folder, or None if nothing is saved.
        arguments: of `MakerContext`, except its folder.
    """
    if target is not None:
        yield MakerContext(folder=making_folder(target) / "maker", **arguments)
        return
    with TemporaryDirectory() as folder:
        yield MakerContext(folder=Path(folder, "maker"), **arguments)


def make_alone(settings: MakerSettings, context: MakerContext, target: Path | None) -> tuple[TransferSet, str]:
    """Makes a transfer set and saves it if there is a `target`; returns it and a summary.

    Args:
        settings: of the maker.
        context: see `context_alone`.
        target: a new folder.

    Raises:
        UserError: see `save_made`.
    """
    if target is not None:
        made, report = make_and_save(settings, context, target)
        return made.source.images(0), summary(made, report, target)
    maker = find_maker(settings.maker)
    maker.count(settings, context)
    made = maker.make(settings, context)
    return made.source.images(0), made.evidence.headline


def make_and_save(settings: MakerSettings, context: MakerContext, target: Path) -> tuple[Made, Path]:
    """Makes a transfer set and saves it in `target` with evidence, cost and a report; returns it and the report's path.

    Args:
        settings: of the maker.
        context: with a folder in `making_folder(target)`, which is removed once everything is saved.
        target: a new folder.

    Raises:
        UserError: see `save_made`.
    """
    maker = find_maker(settings.maker)
    maker.count(settings, context)
    with making(target, context.progress) as folder:
        with beginning(folder, settings, context), metering(RunFolder(folder), MAKING):
            made = maker.make(settings, context)
        if made.source.steps_per_round is not None:
            raise UserError(
                f"{settings.title} makes images while a student learns; name it in a recipe, under `transfer`."
            )
        cost = at_least(made.cost, metered(RunFolder(folder), MAKING))
        report = _save(made, cost, folder, target)
    images = made.source.images(0)
    if images.known_logits is not None and context.teacher is not None:
        keep_known(images, context.teacher, context.progress)
    shutil.rmtree(folder, ignore_errors=True)
    return made, report


def _save(made: Made, cost: Cost, folder: Path, target: Path) -> Path:
    """Writes a transfer set below `folder` and renames it to `target` once complete; returns the report's path."""
    whole = whole_folder(folder, target)
    report = write_whole(made.source.images(0), made.evidence, whole, cost)
    with disk_errors(target):
        place_new(whole, target)
    return target / report.name


def whole_folder(folder: Path, target: Path) -> Path:
    """The folder below `folder` in which a transfer set is written before it is renamed to `target`."""
    return folder / "saved" / target.name  # the report takes its title from this name


def write_whole(images: TransferSet, evidence: Evidence, folder: Path, cost: Cost | None = None) -> Path:
    """Writes a transfer set with evidence, cost and a report into a folder; returns the report's path."""
    shutil.rmtree(folder, ignore_errors=True)  # left by a process that was killed
    images.save(folder)
    evidence.save(folder / EVIDENCE)
    if cost is not None:
        atomic_write_text(folder / "cost.json", json.dumps(cost.to_dict(), indent=1) + "\n")
    return write_selection_report(folder)


def summary(made: Made, report: Path, target: Path) -> str:
    """A summary of what was made."""
    count = plural(len(made.source.images(0)), "image")
    return "\n".join([made.evidence.headline, *made.evidence.findings, f"{count} -> {target}", f"report: {report}"])


def kept_folder() -> Path | None:
    """The cache folder, if this process and all its workers can write to it; None if not, or with Ray workers."""
    folder = cache_folder()
    return folder if takes_files(nearest_folder(folder / "any")) and "RAY_ADDRESS" not in os.environ else None
