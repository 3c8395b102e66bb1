"""The linear probe: what a frozen network's features tell about another data set."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from torch import Tensor

from limbeck.device import Device
from limbeck.errors import UserError, unknown_name
from limbeck.evaluation.embeddings import Size, cached_embeddings
from limbeck.evaluation.linear_heads import LinearHead, choose_strength, fit_l2, fit_schedule, published_schedule
from limbeck.evaluation.metrics import top_k_accuracy
from limbeck.evaluation.statistics import mean_interval
from limbeck.precision import Precision

if TYPE_CHECKING:
    from limbeck.data import ImageSet
    from limbeck.models import Classifier

FitSchedule = Literal["l2", "published"]
SMALL = (32, 32)
"""What larger images are resized to for a network that takes any size, as published for the CIFAR networks."""
HELD_OUT = 0.2
"""Share of the training images that choose the strength of regularisation."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """How well a linear head on a frozen network tells the classes of a data set apart.

    Attributes:
        network: its name.
        data: name of the training images.
        classes: number of classes.
        images, n: number of training and of test images.
        size: (height, width) in pixels of the images that the network got.
        features: number of features D.
        schedule: "l2" or "published".
        seeds: of the held-out images (l2), or of first weights and order (published).
        top1, top5: accuracy on the test images of each seed, 0..1; `top5` is None below five classes.
        train_top1: the same on the training images.
        strengths: of regularisation, as chosen by the held-out images of each seed; none for "published".
        tried: for each seed {"strength", "nll", "top1"} on the held-out images.
        converged: whether every fit reached its tolerance.
        seconds: {"features": for both passes or for reading them, "fit": for all seeds}.

    Example:
        >>> found = probe(student, images, test)
        >>> found.to_dict()["n"] == len(test)
        True
    """

    network: str
    data: str
    classes: int
    images: int
    n: int
    size: Size
    features: int
    schedule: FitSchedule
    seeds: list[int]
    top1: list[float]
    top5: list[float] | None
    train_top1: list[float]
    strengths: list[float]
    tried: list[list[dict[str, float]]]
    converged: bool
    seconds: dict[str, float]

    @property
    def mean_top1(self) -> float:
        return mean_interval(self.top1)[0]

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, dicts and numbers, ready for JSON."""
        return asdict(self)


def probe(
    classifier: "Classifier",
    train: "ImageSet",
    test: "ImageSet",
    *,
    schedule: FitSchedule = "l2",
    seeds: Sequence[int] = (0,),
    size: Size | None = None,
    precision: Precision = "fp32",
    device: Device = "auto",
    progress: Callable[[int], None] | None = None,
) -> Probe:
    """Fits a linear head on the features of a frozen classifier and judges it on test images.

    Features are computed once, of the images as they are, and kept on disk (see `cached_embeddings`). With `schedule`
    "l2", the head is a multinomial logistic regression whose strength of regularisation is chosen on a fifth of the
    training images and which is then fitted on all of them; test images choose nothing. With "published" it is trained
    by the published schedule. That protocol also shifts and flips training images, normalises by the new data set's
    statistics, and lets batch-norm statistics adapt to the new images, because it leaves the network in train mode;
    here the network stays as it is, so the numbers compare with each other, and with published ones only roughly.

    Source: Tian, Krishnan and Isola, "Contrastive representation distillation", ICLR 2020, section 4.1 (CIFAR-100 to
    STL-10 and Tiny ImageNet); schedule: github.com/giakoumoglou/distillers, cifar/transfer_student.py.

    Args:
        classifier: any; its head plays no part.
        train, test: labelled images of the same classes.
        schedule: "l2" or "published".
        seeds: distinct, at least one.
        size: (height, width) that images are resized to; by default what the network takes, and for one that takes any
            size 32x32 if the images are larger.
        precision, device: of the forward passes, as in `predict`.
        progress: called with the number of images that have passed through the network, or were read from the cache.

    Raises:
        UserError: unlabelled images, fewer than two classes, other classes in `test`, a network without a tap for its
            embedding, and arguments out of range.

    Example:
        >>> found = probe(student, images, test)
        >>> found.features, found.converged, 0 < found.mean_top1 <= 1
        (8, True, True)
    """
    labels, test_labels = _check(train, test, schedule, seeds)
    shape = probe_size(classifier, train, size)
    start = time.perf_counter()
    options = {"size": shape, "precision": precision, "device": device}
    train_inputs, test_inputs = (_counted(classifier, images, options, progress) for images in (train, test))
    fit_start = time.perf_counter()
    fits = [_fit(classifier.name, train_inputs, train, schedule, seed) for seed in seeds]
    heads = [head for head, _, _ in fits]
    return Probe(
        network=classifier.name,
        data=train.name,
        classes=train.num_classes,
        images=len(train),
        n=len(test),
        size=shape,
        features=train_inputs.shape[1],
        schedule=schedule,
        seeds=list(seeds),
        top1=[top_k_accuracy(head(test_inputs), test_labels) for head in heads],
        top5=[top_k_accuracy(head(test_inputs), test_labels, 5) for head in heads] if train.num_classes >= 5 else None,
        train_top1=[top_k_accuracy(head(train_inputs), labels) for head in heads],
        strengths=[strength for _, strength, _ in fits if strength is not None],
        tried=[tried for _, _, tried in fits if tried],
        converged=all(head.converged for head in heads),
        seconds={"features": fit_start - start, "fit": time.perf_counter() - fit_start},
    )


def probe_size(classifier: "Classifier", images: "ImageSet", size: Size | None = None) -> Size:
    """(height, width) at which a network sees a data set: as asked for, what it takes, or at most `SMALL`."""
    if size is not None and (len(size) != 2 or min(size) < 1):
        raise UserError(f"`size` must be (height, width) in pixels, each at least 1, got {size!r}.")
    if classifier.input_size is not None:
        if size not in (None, classifier.input_size):
            raise UserError(
                f"`size` must be {classifier.input_size} or left out, because {classifier.name} takes nothing else, "
                f"got {size}."
            )
        return classifier.input_size
    height, width = images.shape[1:]
    larger = height > SMALL[0] or width > SMALL[1]
    return size or (SMALL if larger else (height, width))


def _fit(
    network: str, features: Tensor, train: "ImageSet", schedule: str, seed: int
) -> tuple[LinearHead, float | None, list[dict[str, float]]]:
    """A head, the strength that was chosen for it, and what was tried."""
    assert train.labels is not None
    if schedule == "published":
        plan = published_schedule(network)
        return fit_schedule(features, train.labels, train.num_classes, plan, seed=seed), None, []
    held_out = torch.zeros(len(train), dtype=torch.bool)
    held_out[train.positions(train.split(HELD_OUT, seed=seed)[1].ids)] = True
    strength, tried = choose_strength(features, train.labels, train.num_classes, held_out)
    return fit_l2(features, train.labels, train.num_classes, strength), strength, tried


def _counted(
    classifier: "Classifier", images: "ImageSet", options: dict[str, Any], progress: Callable[[int], None] | None
) -> Tensor:
    """Features of `images`; `progress` is told of all of them, also of those read from the cache."""
    seen = 0

    def count(more: int) -> None:
        nonlocal seen
        seen += more
        if progress is not None:
            progress(more)

    features = cached_embeddings(classifier, images, progress=count, **options)
    if seen < len(images):
        count(len(images) - seen)
    return features


def _check(train: "ImageSet", test: "ImageSet", schedule: str, seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
    if schedule not in get_args(FitSchedule):
        raise unknown_name("schedule", schedule, get_args(FitSchedule))
    if not seeds or len(set(seeds)) < len(seeds):
        raise UserError(f"`seeds` must be distinct, at least one, got {list(seeds)}.")
    if train.labels is None or test.labels is None:
        unlabelled = train if train.labels is None else test
        raise UserError(f"a linear probe needs labels, {unlabelled.name!r} has none; choose a labelled data set.")
    if train.classes != test.classes:
        raise UserError(
            f"`test` must have the classes of `train`, got {_few(test.classes)} of {test.name!r} and "
            f"{_few(train.classes)} of {train.name!r}."
        )
    if int((torch.bincount(train.labels) >= 2).sum()) < 2 or len(train) < 5:
        raise UserError(
            f"a linear probe needs at least 5 training images and two classes with 2 or more of them, {train.name!r} "
            f"has {len(train)} images of {len(train.labels.unique())} classes."
        )
    if train.fingerprint == test.fingerprint:
        raise UserError(f"`test` must be other images than `train`, got the same {len(train)} images twice.")
    return train.labels, test.labels


def _few(names: Sequence[str]) -> str:
    return f"{len(names)} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
