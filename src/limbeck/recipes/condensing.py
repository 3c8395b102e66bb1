"""The verb `condense`: a handful of learned images, saved as a transfer set that says how to train on it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState

from limbeck.data.class_names import printable
from limbeck.data.image_set import ImageSet
from limbeck.data.transfer_set import TransferSet
from limbeck.errors import UserError
from limbeck.models.classifier import Classifier
from limbeck.progress import Progress, Silent
from limbeck.randomness import check_seed
from limbeck.recipes.loading import load as load_images
from limbeck.recipes.making import evaluating
from limbeck.recipes.making_alone import context_alone, kept_folder, make_alone
from limbeck.recipes.networks import load_network
from limbeck.recipes.reading import parse_transfer
from limbeck.recipes.work_folder import check_new
from limbeck.recipes.yaml_files import name_or_mapping
from limbeck.transfer.condense.settings import CondenseSettings
from limbeck.workers.shares import check_workers

CONDENSE = "condense"


def settings_to_condense(said: Mapping[str, Any], overrides: Sequence[str] = ()) -> CondenseSettings:
    """Settings as a recipe has them under `transfer: {maker: condense, ...}`; some, as `views`, may be None.

    Raises:
        UserError: lists everything that is wrong with the settings.
    """
    settings = parse_transfer({"maker": CONDENSE, **said}, overrides, alone=True)
    assert isinstance(settings, CondenseSettings)
    return settings


def condense_images(
    settings: CondenseSettings,
    images: ImageSet,
    teacher: Classifier | None = None,
    *,
    teacher_named: str | None = None,
    seed: int = 0,
    workers: int = 1,
    target: Path | None = None,
    progress: Progress | None = None,
) -> tuple[TransferSet, str]:
    """Condenses images and saves the transfer set if there is a `target`; returns it and a summary.

    Args:
        settings: of the maker.
        images: labelled.
        teacher: with its weights, for settings that need one.
        teacher_named: its name or folder, if it has one.
        seed: of all random draws except those of the experts.
        workers: processes that train experts in parallel.
        target: a new folder. What is needed to resume lies in `<target>.making` until everything is saved.
        progress: reports progress.

    Raises:
        UserError: see `limbeck.condense`.
        Interrupted: stopped by Ctrl-C or SIGTERM; with a `target`, calling it again resumes.
    """
    check_seed(seed)
    check_workers(workers)
    if settings.needs_teacher and teacher is None:
        raise UserError(f"{settings.title} asks a teacher, and none is given; {_without_teacher(settings)}.")
    if target is not None:
        check_new(target)
    if teacher is not None and not settings.needs_teacher:
        (progress or Silent()).say(f"{settings.title} asks no teacher as it is set, and that given is left alone")
    context_arguments: dict[str, Any] = {
        "pool": images,
        "classes": images.classes,
        "shape": images.shape,
        "teacher": None if teacher is None else evaluating(teacher),
        "teacher_named": None if teacher_named is None else {"weights": teacher_named},
        "seed": seed,
        "workers": workers,
        "kept": kept_folder(),
        "device": PartialState().device or torch.device("cpu"),
        "progress": progress or Silent(),
    }
    with context_alone(target, **context_arguments) as context:
        transfer_set, words = make_alone(settings, context, target)
        return transfer_set if target is None else TransferSet.load(target), words


def save_condensed(
    said: Mapping[str, Any],
    target: Path | None,
    *,
    data: str,
    split: str = "train",
    overrides: Sequence[str] = (),
    experts: Path | None = None,
    teacher: str | None = None,
    seed: int = 0,
    workers: int = 1,
    progress: Progress | None = None,
    **options: Any,
) -> str:
    """Condenses images as the command line asks and saves the transfer set; returns a summary.

    Args:
        said: `method`, `budget`, `network` (a model's name, or a mapping in YAML) and `iterations`; None if not given.
        target: a new folder; by default in runs/.
        data, split, options: see `limbeck.load`.
        overrides: more settings as "key=value".
        experts: a folder of existing experts.
        teacher: a network's name or folder.
        seed, workers, progress: see `condense_images`.

    Raises:
        UserError: see `limbeck.condense`.
    """
    check_workers(workers)  # before anything is loaded
    stated = {name: value for name, value in said.items() if value is not None}
    stated |= {} if experts is None else {"experts": {"folder": str(experts)}}
    if isinstance(stated.get("network"), str):
        stated["network"] = name_or_mapping(stated["network"], "--network", "model", "{model: convnet_d3}")
    settings = settings_to_condense(stated, overrides)
    target = Path("runs") / f"condensed-{printable(Path(data).name)}-{settings.method}" if target is None else target
    target = target.with_name(target.name.replace(":", "-"))
    check_new(target)
    network = None if teacher is None else load_network(teacher)
    images = load_images(data, split, **options)
    arguments: dict[str, Any] = {
        "teacher_named": teacher,
        "seed": seed,
        "workers": workers,
        "target": target,
        "progress": progress,
    }
    return condense_images(settings, images, network, **arguments)[1]


def _without_teacher(settings: CondenseSettings) -> str:
    if settings.mask is not None and settings.mask.network == "teacher":
        return "give one, or set `mask.network: expert`, or to weights by name"
    if not settings.labelled_by_teacher:
        return "give one, or let images begin otherwise: the criterion of `initialise` asks it"
    return "give one that tells the classes of the images apart"
