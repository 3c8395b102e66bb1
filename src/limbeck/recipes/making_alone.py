"""The verb `make`: a transfer set by any maker, saved on its own."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from accelerate import PartialState

from limbeck.caching import cache_folder
from limbeck.cost import Cost
from limbeck.data.encoded.build import both_sides
from limbeck.data.transfer_set import TransferSet
from limbeck.errors import UserError
from limbeck.files import atomic_write_text, check_path, disk_errors, nearest_folder, takes_files
from limbeck.locks import LOCK_FILE, only_one
from limbeck.models.classifier import Classifier
from limbeck.models.fingerprint import fingerprint
from limbeck.models.published import NAMED
from limbeck.progress import Progress, Silent
from limbeck.recipes.evaluation_images import load_sized
from limbeck.recipes.image_sizes import size_for_network
from limbeck.recipes.inputs import Inputs
from limbeck.recipes.metering import MAKING, at_least, metered, metering
from limbeck.recipes.networks import load_network
from limbeck.recipes.reading import parse_transfer
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
        progress: receives the progress.

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


def trained_size(teacher: Any) -> int | None:
    """Pixels a side of the images that a teacher was trained with, if its name is one of published weights.

    Example:
        >>> trained_size("cifar10-resnet20")
        32
    """
    weights = NAMED.get(teacher.casefold()) if isinstance(teacher, str) else None
    return None if weights is None else weights.size


def shape_for(teacher: Classifier, size: int | tuple[int, int] | None, what: str = "borrow") -> tuple[int, int, int]:
    """(C, H, W) of images for a teacher, of the given size or else of the teacher's input size.

    Args:
        teacher: with its input size, if it has one.
        size: pixels a side, or (height, width); None for the teacher's input size.
        what: the verb for the error message, such as "borrow".

    Raises:
        UserError: an invalid size, or neither a size nor an input size.
    """
    sides = teacher.input_size if size is None else both_sides(size)
    if sides is None:
        raise UserError(
            f"`size` must be given, the pixels a side of the images to {what}, or `test` images: {teacher.name} takes "
            "any; give that of the images that the student will see."
        )
    channels = teacher.channels if teacher.channels in (1, 3) else 1  # gray images are repeated for any other
    return (channels, *sides)


def check_new(target: Path) -> None:
    """Raises a UserError if the folder exists or its path is invalid."""
    check_path(target)
    if target.exists():
        raise UserError(f"{str(target)!r} exists already and is never overwritten; choose another --out.")


def making_folder(target: Path) -> Path:
    """The work folder, in which a maker keeps what it needs to resume until `target` is there."""
    return target.with_name(f"{target.name}.making")


@contextmanager
def making(target: Path, progress: Progress) -> Iterator[Path]:
    """Locks and yields the folder to make `target` in, waiting for any other process that makes it.

    Raises:
        UserError: the target exists by then.
    """
    folder = making_folder(target)
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    waiting = f"another process makes {str(target)!r}; waiting for it"
    with ExitStack() as alone:
        try:
            alone.enter_context(only_one(folder, lambda: progress.say(waiting)))
        except FileNotFoundError:  # the other process has ended, and removed the folder with its lock
            check_new(target)
            raise
        if target.exists() and {entry.name for entry in folder.iterdir()} <= {LOCK_FILE}:
            shutil.rmtree(folder, ignore_errors=True)  # recreated by waiting for the lock
        check_new(target)
        yield folder


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
        whole.rename(target)
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


@contextmanager
def beginning(folder: Path, settings: MakerSettings, context: MakerContext) -> Iterator[None]:
    """Records in a folder what is made there, or checks that it is resumed with what it was begun with.

    After a UserError, other settings are allowed to reuse the folder, as they are what is needed; scores and experts in
    it stay. A folder with a checkpoint may not be reused: what was learned before the error is not discarded.

    Raises:
        UserError: something else was begun there.
    """
    _check_same_request(folder, settings, context)
    (folder / _REFUSED).unlink(missing_ok=True)
    try:
        yield
    except UserError:
        if not any((context.folder / name).exists() for name in getattr(find_maker(settings.maker), "checkpoints", ())):
            atomic_write_text(folder / _REFUSED, "")
        raise


def _check_same_request(folder: Path, settings: MakerSettings, context: MakerContext) -> None:
    """Records in a folder what is begun there; raises a UserError if something else was begun and not refused."""
    pool, teacher = context.pool, context.teacher
    now = {
        "settings": settings.model_dump(mode="json"),
        "seed": context.seed,
        "images": None if pool is None else pool.fingerprint,
        "teacher": None if teacher is None else fingerprint(teacher),
        "shape": list(context.shape),
        "judged": [images.fingerprint for images in context.held_out],
    }
    path = folder / "begun.json"
    if path.exists():
        try:
            before = dict(json.loads(path.read_text()))
        except (ValueError, TypeError):
            before = {}
        before |= {"settings": _as_now(before.get("settings"), settings)}
        remarks = _take_over_rounding(before["settings"], now["settings"], settings.maker)
        compared = [name for name in now if name in before or name not in _CALLED]  # earlier versions lack these
        differing = [_CALLED.get(name, name) for name in compared if before.get(name) != now[name]]
        if "settings" in differing:
            differing[differing.index("settings")] += _first_change(before["settings"], now["settings"])
        if differing and (folder / _REFUSED).exists():
            _clear(folder, settings, context)
            atomic_write_text(path, json.dumps(now, indent=1) + "\n")
        elif differing:
            raise UserError(
                f"{str(folder)!r} holds what was begun with other {' and other '.join(differing)}; go on with what it "
                "was begun with, remove that folder, or choose another --out."
            )
        elif remarks:
            for remark in remarks:
                context.progress.say(remark)
            atomic_write_text(path, json.dumps(now, indent=1) + "\n")
        return
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    atomic_write_text(path, json.dumps(now, indent=1) + "\n")


def _clear(folder: Path, settings: MakerSettings, context: MakerContext) -> None:
    """Removes what refused settings left, except what other settings can use: scores and experts."""
    for path in (*folder.iterdir(), *(context.folder.iterdir() if context.folder.exists() else ())):
        kept = path == context.folder or path.name == LOCK_FILE  # this process holds the lock
        if kept or path.name in getattr(find_maker(settings.maker), "findable", ()):
            continue
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def kept_folder() -> Path | None:
    """The cache folder, if this process and all its workers can write to it; None if not, or with Ray workers."""
    folder = cache_folder()
    return folder if takes_files(nearest_folder(folder / "any")) and "RAY_ADDRESS" not in os.environ else None


def _take_over_rounding(before: Any, now: Any, maker: str) -> list[str]:
    """Copies settings that only change rounding from `now` to `before`; returns a remark on each that differed."""
    remarks = []
    for path in rounding_settings(maker):
        *groups, name = path.split(".")
        then, new = before, now
        for group in groups:
            then, new = (settings.get(group) if isinstance(settings, Mapping) else None for settings in (then, new))
        if isinstance(then, dict) and isinstance(new, Mapping) and then.get(name) != new[name]:
            remarks.append(rounding_remark(path, then.get(name), new[name]))
            then[name] = new[name]
    return remarks


def rounding_settings(maker: str) -> tuple[str, ...]:
    """Paths of a maker's settings that may change while a set is made, as they only change rounding."""
    return getattr(find_maker(maker), "rounding", ())


def rounding_remark(path: str, then: Any, now: Any) -> str:
    """A remark on the change of a setting that only changes rounding."""
    return (
        f"`{path}` was {then} and is {now}: from here on, images may differ by rounding from those without the change"
    )


def _first_change(before: Any, now: Any, path: str = "") -> str:
    """The first difference of settings, in brackets."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for name in now:
            if before.get(name) != now[name]:
                return _first_change(before.get(name), now[name], f"{path}.{name}".lstrip("."))
    return f" (`{path}` {before!r} then, {now!r} now)" if path else ""


def _as_now(before: Any, settings: MakerSettings) -> Any:
    """Settings written by an earlier version, with defaults for newer ones; unchanged if they are invalid now."""
    try:
        return type(settings).model_validate(before).model_dump(mode="json")
    except ValueError:
        return before


_REFUSED = "refused"
"""File in a work folder: making ended in a UserError."""
_CALLED = {"shape": "size of the images", "judged": "images to be judged on"}
