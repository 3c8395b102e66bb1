"""`evaluate_set` and `rank_set` from Python, on objects or on names."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from limbeck.api.objects import network_of
from limbeck.data.encoded.build import SizesDiffer
from limbeck.data.image_set import ImageSet
from limbeck.data.loading import as_image_set, load_first
from limbeck.data.objects.reading import ImagesLike
from limbeck.data.transfer_set import TransferSet
from limbeck.errors import UserError
from limbeck.models.classifier import Classifier
from limbeck.progress import Progress
from limbeck.recipes.evaluating_sets import limited, load_unresized, named_teacher
from limbeck.transfer.set_evaluation.accuracies import NetworkAccuracy
from limbeck.transfer.set_evaluation.accuracies import evaluate_set as evaluate
from limbeck.transfer.set_evaluation.protocols import RATES, Labels
from limbeck.transfer.set_evaluation.ranking import HELD_OUT, Ranking
from limbeck.transfer.set_evaluation.ranking import rank_set as rank

Network = str | Mapping[str, Any] | Callable[[int], Classifier]


def evaluate_set(
    transfer_set: TransferSet | str | Path,
    test: ImagesLike,
    *,
    networks: Network | Sequence[Network] | None = None,
    seeds: int | Sequence[int] = 3,
    labels: Labels = "kept",
    protocol: str = "kept",
    teacher: Classifier | str | Path | None = None,
    temperature: float | None = None,
    rate: float | str | None = None,
    rates: Sequence[float] = RATES,
    validation: ImagesLike | None = None,
    training: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> list[NetworkAccuracy]:
    """Judges a transfer set by what networks learn from it that begin with fresh weights.

    Each is taught as the set says, but for what is said here, and judged once, after its last step. A seed gives the
    student that `lb.distill` gives with it.

    Args:
        transfer_set: condensed, or any other, or its folder.
        test: labelled images, or a data set's name; they choose nothing.
        networks: one or several, each a model's name, {"model": ..., "options": ...} or a function from a seed to a
            classifier; None for the one that the set is made for. `alexnet`, `vgg11_instance` and `resnet18_instance`
            beside a ConvNet are the networks of published tables.
        seeds: how many from 0, or which.
        labels: "kept" as the set has them, "hard", "soft", or "teacher" for answers to every view.
        protocol: "kept" for the set's own way of teaching, or "sre2l", "sre2l-small" or "rded", which ask a teacher.
        teacher: a classifier, or whatever `load_model` takes; by default whom the set names, if it names one.
        temperature: of its answers; by default the set's own where it asks a teacher, the published one, or 20.
        rate: learning rate; None for the set's own, "search" for the best of `rates` on `validation`, for each network.
        rates: see `rate`; for "search" alone.
        validation: labelled images, or a data set's name, of whose training images 5,000 at most are used.
        training: settings on top of the set's own, by the names of `TrainingSettings`.
        out: a folder in which runs are kept, so that the same call goes on after an interruption; None keeps nothing.
        workers: runs that go on side by side.
        progress: reports progress.

    Raises:
        UserError: what does not fit together, before any training.

    Example:
        >>> chosen = lb.TransferSet(images, use={"training": {"steps": 5, "views": "none"}})
        >>> (found,) = lb.evaluate_set(chosen, test, networks="lenet5", seeds=2)
        >>> found.network, found.seeds, 0 <= found.mean <= 1
        ('lenet5', [0, 1], True)
    """
    loaded = _set(transfer_set)
    shape = loaded.images.shape
    network_list = networks if isinstance(networks, Sequence) and not isinstance(networks, str) else [networks]
    return evaluate(
        loaded,
        _images(test, "test", shape, "test"),
        networks=network_list,
        seeds=seeds,
        labels=labels,
        protocol=protocol,
        teacher=named_teacher(loaded, labels, protocol) if teacher is None else network_of(teacher, "teacher"),
        temperature=temperature,
        rate=rate,
        rates=rates,
        validation=_validation(validation, shape),
        training=training,
        folder=out,
        workers=workers,
        progress=progress,
    )


def rank_set(
    transfer_set: TransferSet | str | Path,
    test: ImagesLike,
    train: ImagesLike,
    *,
    full: float | Mapping[str, Any],
    network: Network | None = None,
    seeds: int = 3,
    teacher: Classifier | str | Path | None = None,
    rates: Sequence[float] = RATES,
    validation: int | float | ImagesLike = HELD_OUT,
    training: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> Ranking:
    """DD-Ranking of a transfer set: scores that soft labels or augmentation alone do not raise, and their parts.

    A network is taught on the set and on as many random real images: in the set's own way, with hard labels, and
    without augmentation. Scores are computed of fractions; the published package computes them of percents.

    Args:
        transfer_set, test, seeds, rates, training, out, workers, progress: see `evaluate_set`.
        train: the real images that the set stands for, or a data set's name.
        full: accuracy after all the real images with hard labels, 0 to 1, or the settings of training by which to find
            it, as {"epochs": 50}.
        network: see `networks` of `evaluate_set`.
        teacher: gives random images their labels where the set has soft ones.
        validation: a share or count of `train` to hold out, which chooses learning rates, or images of their own.

    Raises:
        UserError: what does not fit together, before any training.

    Example:
        >>> use = {"student": {"model": "lenet5"}, "training": {"steps": 2, "views": "none"}}
        >>> found = lb.rank_set(lb.TransferSet(test, use=use), test, images, full=0.9, seeds=1, rates=[0.05])
        >>> 0 <= found.label_robust.score <= 1
        True
    """
    loaded = _set(transfer_set)
    shape = loaded.images.shape
    return rank(
        loaded,
        _images(test, "test", shape, "test"),
        _images(train, "train", shape, "train"),
        full=full,
        network=network,
        seeds=seeds,
        teacher=named_teacher(loaded) if teacher is None else network_of(teacher, "teacher"),
        rates=rates,
        validation=validation if isinstance(validation, int | float) else _required(validation, shape),
        training=training,
        folder=out,
        workers=workers,
        progress=progress,
    )


def _set(transfer_set: TransferSet | str | Path) -> TransferSet:
    if isinstance(transfer_set, str | Path):
        return TransferSet.load(Path(transfer_set).expanduser())
    if not isinstance(transfer_set, TransferSet):
        raise UserError(
            f"`transfer_set` must be a transfer set or its folder, got {type(transfer_set).__name__}; "
            "`lb.TransferSet(images)` makes one of images."
        )
    return transfer_set


def _images(source: ImagesLike, split: str, shape: tuple[int, int, int], argument: str) -> ImageSet:
    """Images in their own size, which networks resize; those of several sizes or another aspect in that of the set."""
    if isinstance(source, ImageSet):
        return source
    if isinstance(source, str | Path):
        return load_unresized(source, split, shape)
    try:
        return as_image_set(source, split, argument)
    except SizesDiffer:
        return load_first(source, split, count=None, shape=shape)


def _validation(source: ImagesLike | None, shape: tuple[int, int, int]) -> ImageSet | None:
    return None if source is None else _required(source, shape)


def _required(source: ImagesLike, shape: tuple[int, int, int]) -> ImageSet:
    images = _images(source, "train", shape, "validation")
    return limited(images) if isinstance(source, str) else images
