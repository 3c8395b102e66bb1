"""The verb `borrow`: a transfer set of other people's images, chosen by a teacher."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState

from limbeck.data.image_set import ImageSet
from limbeck.data.own_splits import evaluation_split
from limbeck.data.transfer_set import TransferSet
from limbeck.errors import UserError
from limbeck.models.classifier import Classifier
from limbeck.precision import Precision, check_precision
from limbeck.progress import Progress, Silent
from limbeck.randomness import check_seed
from limbeck.recipes.evaluation_images import load_sized
from limbeck.recipes.image_sizes import shape_for, size_for_network, trained_size
from limbeck.recipes.making import evaluating
from limbeck.recipes.making_alone import context_alone, make_alone
from limbeck.recipes.networks import load_network
from limbeck.recipes.reading import parse_transfer
from limbeck.recipes.work_folder import check_new
from limbeck.recipes.yaml_files import name_or_mapping
from limbeck.transfer.borrow.settings import KNOWN
from limbeck.transfer.settings import MakerSettings
from limbeck.workers.shares import check_workers

BORROW = "borrow"
_POOL = "{name: cifar100, split: test}"


def settings_to_borrow(settings: Mapping[str, Any], overrides: Sequence[str] = ()) -> MakerSettings:
    """Settings as a recipe has them under `transfer: {maker: borrow, ...}`; None stands for the default.

    Raises:
        UserError: lists everything that is wrong with the settings.
    """
    stated = {name: value for name, value in settings.items() if value is not None}
    return parse_transfer({"maker": BORROW, **stated}, overrides)


def borrow_images(
    settings: MakerSettings,
    teacher: Classifier,
    *,
    handed: Mapping[str, ImageSet] | None = None,
    test: ImageSet | None = None,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    workers: int = 1,
    precision: Precision = "auto",
    scores: Path | None = None,
    target: Path | None = None,
    progress: Progress | None = None,
) -> tuple[TransferSet, str]:
    """Borrows images and saves the transfer set if there is a `target`; returns it and a summary.

    Args:
        settings: of the maker.
        teacher: with its weights.
        handed: images that were handed over in Python, by the names that the settings use for them.
        test: images that students will be evaluated on; none of them is borrowed.
        size: pixels a side of the borrowed images, or (height, width); by default that of the test images, or else the
            teacher's input size.
        seed: of all random draws.
        workers: processes that score, see `limbeck.score_table`.
        precision: of the teacher's forward passes.
        scores: folder where the score table of the pools is kept for other budgets and criteria.
        target: a new folder. What is needed to resume lies in `<target>.making` until everything is saved.
        progress: reports progress.

    Raises:
        UserError: see `limbeck.borrow`.
    """
    check_seed(seed)
    check_precision(precision)
    check_workers(workers)
    common: dict[str, Any] = {
        "pool": None,
        "classes": teacher.classes,
        "shape": test.shape if test is not None and size is None else shape_for(teacher, size),
        "teacher": evaluating(teacher),
        "held_out": [] if test is None else [test],
        "handed": handed or {},
        "seed": seed,
        "workers": workers,
        "precision": precision,
        "shared": scores,
        "device": PartialState().device or torch.device("cpu"),
        "progress": progress or Silent(),
    }
    if target is not None:
        check_new(target)
    with context_alone(target, **common) as context:
        return make_alone(settings, context, target)


def save_borrowed(
    options: Mapping[str, Any],
    target: Path | None,
    *,
    teacher: str,
    of_every_pool: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    test: str | None = None,
    progress: Progress | None = None,
    **how: Any,
) -> str:
    """Borrows images as the command line asks and saves the transfer set; returns a summary.

    Args:
        options: see `settings_from_options`.
        target: a new folder; by default in runs/.
        teacher: a network's name or folder.
        of_every_pool: settings of every pool that does not set them itself.
        overrides: settings as "key=value".
        test: images that students will be evaluated on.
        progress, how: see `borrow_images`.

    Raises:
        UserError: see `borrow_images`.
    """
    settings = settings_to_borrow(settings_from_options(options, of_every_pool or {}), overrides)
    target = default_folder(settings) if target is None else target
    check_new(target)
    network = load_network(teacher)
    test_images = None
    if test is not None:
        known_size = size_for_network(network, teacher)
        test_images = load_sized(
            test, evaluation_split(test)[0], known_size, None if progress is None else progress.say
        )
    if test_images is None and how.get("size") is None:
        how["size"] = trained_size(teacher)
    return borrow_images(settings, network, test=test_images, target=target, progress=progress, **how)[1]


def settings_from_options(options: Mapping[str, Any], of_every_pool: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as a recipe has them, from the options of the command line.

    Args:
        options: `pools`, each a name or a mapping in YAML; `by`, each a name or NAME=SHARE; `threshold`, its `of`, with
            `share` and `calibration` beside it; `exclude`, names or "known" alone; all others unchanged.
        of_every_pool: see `save_borrowed`.

    Raises:
        UserError: an option of another form.

    Example:
        >>> settings_from_options({"pools": ["cifar100"], "by": ["margin=0.5", "random=0.5"]}, {"split": "test"})
        {'pools': [{'split': 'test', 'name': 'cifar100'}], 'by': {'margin': 0.5, 'random': 0.5}}
    """
    settings = {name: value for name, value in options.items() if value is not None}
    settings["pools"] = [
        {**of_every_pool, **name_or_mapping(text, "--pool", "name", _POOL)} for text in options["pools"]
    ]
    if "by" in settings:
        settings["by"] = _by(settings["by"])
    if settings.get("exclude") == [KNOWN]:
        settings["exclude"] = KNOWN
    beside_threshold = {name: settings.pop(name) for name in ("share", "calibration") if name in settings}
    if beside_threshold and "threshold" not in settings:
        raise UserError(
            f"`--{next(iter(beside_threshold))}` belongs to a threshold; give --threshold mean, best-share or quantile."
        )
    if "threshold" in settings:
        settings["threshold"] = {"of": settings["threshold"], **beside_threshold}
    return settings


def default_folder(settings: MakerSettings) -> Path:
    """The default folder for borrowed images."""
    by = settings.model_dump()["by"]
    return Path("runs") / f"borrowed-{by if isinstance(by, str) else '-'.join(by)}"


def _by(texts: Sequence[str]) -> str | dict[str, float]:
    if len(texts) == 1 and "=" not in texts[0]:
        return texts[0]
    shares: dict[str, float] = {}
    for text in texts:
        name, equals, share = text.partition("=")
        try:
            shares[name] = float(share)
        except ValueError:
            equals = ""
        if not equals:
            raise UserError(f"`--by` of a mixture must be CRITERION=SHARE each time, as margin=0.5, got {text!r}.")
    if len(shares) < len(texts):
        raise UserError(f"`--by` names a criterion twice, got {', '.join(texts)}; give each once.")
    return shares
