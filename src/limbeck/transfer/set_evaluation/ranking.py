"""Measures the scores of DD-Ranking for a set: the label-robust and the augmentation-robust one."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from limbeck.data.classes import class_places, classes_of, match_classes
from limbeck.data.image_set import ImageSet
from limbeck.data.transfer_set import TransferSet
from limbeck.errors import UserError
from limbeck.evaluation.dd_ranking import (
    AugmentationRobustScore,
    LabelRobustScore,
    augmentation_robust_score,
    label_robust_score,
)
from limbeck.evaluation.prediction import predict
from limbeck.models.classifier import Classifier
from limbeck.objectives.sums import weighted_sum
from limbeck.progress import Progress, Silent
from limbeck.randomness import generator
from limbeck.transfer.set_evaluation.accuracies import SEARCH, NetworkAccuracy, evaluate_set
from limbeck.transfer.set_evaluation.protocols import RATES
from limbeck.transfer.set_evaluation.teaching import NetworkSpec, asks_teacher, teaching_on

HELD_OUT = 0.1
"""Share of the training images that is held out to choose learning rates."""


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Both scores of a set, and the accuracies that they are made of.

    Attributes:
        network: the one whose accuracies they are.
        label_robust, augmentation_robust: scores with their parts.
        full: accuracy after all the real images, 0 to 1.
        accuracies: "set", "set, hard labels", "random images", and the first and the last "without augmentation".
    """

    network: str
    label_robust: LabelRobustScore
    augmentation_robust: AugmentationRobustScore
    full: float
    accuracies: Mapping[str, NetworkAccuracy]

    def to_dict(self) -> dict[str, Any]:
        """Json-able."""
        return {**asdict(self), "accuracies": {name: accuracy.to_dict() for name, accuracy in self.accuracies.items()}}


def rank_set(
    transfer_set: TransferSet,
    test: ImageSet,
    train: ImageSet,
    *,
    full: float | Mapping[str, Any],
    network: NetworkSpec = None,
    seeds: int = 3,
    teacher: Classifier | None = None,
    rates: Sequence[float] = RATES,
    validation: int | float | ImageSet = HELD_OUT,
    training: Mapping[str, Any] | None = None,
    folder: str | Path | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> Ranking:
    """Teaches a network on the set and on as many random real images, in several ways, and scores the differences.

    The learning rates for random images, and for the set with hard labels, are chosen by images held out of the
    training images; the published package lets test images choose them. Accuracies are those after the last step, not
    the best ones.

    Args:
        transfer_set: taught on as it says.
        test: labelled images, which choose nothing.
        train: the real images; each seed draws its own random ones, as many of each class as students see of the set:
            where each stored image holds four, four times as many.
        full: accuracy of the network taught on all the real images with hard labels, 0 to 1, or the settings of
            training to measure it by, as {"epochs": 50}.
        network: see `evaluate_set`.
        seeds: how many, counted from 0.
        teacher: labels random images where the set has soft labels, or, where the set is taught on with a teacher, is
            asked about every view of both.
        rates: learning rates to search.
        validation: a share or count of `train` to hold out, or other images; random images are drawn from the rest of
            `train`, while `full` is of all of `train`.
        training: settings on top of the set's own.
        folder, workers, progress: see `evaluate_set`.

    Raises:
        UserError: arguments do not fit together; raised before any training.

    Source: see `limbeck.evaluation.dd_ranking`.
    """
    _check_full(full)
    train = _matched(train, transfer_set)
    rest, held_out = _held_out(train, validation)
    draws = [_random(transfer_set, rest, seed, teacher) for seed in range(seeds)]
    measuring = _Measuring(
        test=test,
        seeds=seeds,
        training=training,
        teacher=teacher,
        folder=None if folder is None else Path(folder),
        common={"networks": [network], "workers": workers, "progress": progress or Silent()},
        searched={"rate": SEARCH, "rates": rates, "validation": held_out},
    )
    accuracies = _accuracies(measuring, transfer_set, draws)
    student = (transfer_set.use or {}).get("student", {})
    real = TransferSet(train, use={"student": student})
    full_accuracy = (
        full if isinstance(full, int | float) else measuring.of("full", real, labels="hard", training=full).mean
    )
    means = {name: accuracy.mean for name, accuracy in accuracies.items()}
    return Ranking(
        network=accuracies["set"].network,
        label_robust=label_robust_score(
            full_hard=full_accuracy,
            synthetic_hard=means["set, hard labels"],
            synthetic=means["set"],
            random=means["random images"],
        ),
        augmentation_robust=augmentation_robust_score(
            synthetic=means["set"],
            random=means["random images"],
            synthetic_plain=means["set without augmentation"],
            random_plain=means["random images without augmentation"],
        ),
        full=full_accuracy,
        accuracies=accuracies,
    )


@dataclass(frozen=True, kw_only=True)
class _Measuring:
    """Measures the accuracy on one set after another.

    Attributes:
        test, seeds, training, teacher, folder: see `rank_set`.
        common: further arguments of `evaluate_set`.
        searched: arguments of `evaluate_set` by which a learning rate is chosen.
    """

    test: ImageSet
    seeds: int
    training: Mapping[str, Any] | None
    teacher: Classifier | None
    folder: Path | None
    common: Mapping[str, Any]
    searched: Mapping[str, Any]

    def of(self, name: str, chosen: TransferSet, **how: Any) -> NetworkAccuracy:
        """Accuracy on a set, with further arguments of `evaluate_set`."""
        folder = None if self.folder is None else self.folder / name.replace(", ", "-").replace(" ", "-")
        labelling = {"teacher": self.teacher} if how.get("labels", "kept") == "kept" and asks_teacher(chosen) else {}
        defaults = {"seeds": self.seeds, "training": self.training, **self.common, **labelling}
        (accuracy,) = evaluate_set(chosen, self.test, folder=folder, **{**defaults, **how})
        return accuracy

    def of_random(self, name: str, draws: Sequence[TransferSet], **how: Any) -> NetworkAccuracy:
        """Accuracy on random images, drawn anew for each seed, at the rate that is best for the first."""
        first, *others = draws
        accuracies = [self.of(f"{name} 0", first, seeds=[0], **self.searched, **how)]
        for seed, draw in enumerate(others, start=1):
            accuracies.append(self.of(f"{name} {seed}", draw, seeds=[seed], rate=accuracies[0].learning_rate, **how))
        return _joined(accuracies)


def _accuracies(
    measuring: _Measuring, transfer_set: TransferSet, draws: Sequence[TransferSet]
) -> dict[str, NetworkAccuracy]:
    plain = {**(measuring.training or {}), **_unaugmented(transfer_set, measuring.training)}
    hard, suffix = {"labels": "hard", **measuring.searched}, "without augmentation"
    return {
        "set": measuring.of("set", transfer_set),
        "set, hard labels": measuring.of("set, hard labels", transfer_set, **hard),
        "random images": measuring.of_random("random images", draws),
        f"set {suffix}": measuring.of(f"set {suffix}", transfer_set, training=plain),
        f"random images {suffix}": measuring.of_random(f"random images {suffix}", draws, training=plain),
    }


def _joined(found: Sequence[NetworkAccuracy]) -> NetworkAccuracy:
    """Accuracies of one seed each as one of many."""
    return replace(
        found[0],
        seeds=[seed for accuracy in found for seed in accuracy.seeds],
        top1=[top1 for accuracy in found for top1 in accuracy.top1],
        seconds=sum(accuracy.seconds for accuracy in found),
    )


def _held_out(train: ImageSet, validation: int | float | ImageSet) -> tuple[ImageSet, ImageSet]:
    """The training images that random ones are drawn from, and those that choose rates."""
    if not isinstance(validation, ImageSet):
        return train.split(validation, seed=0)
    digests = {bytes(row) for row in validation.digests().numpy()}
    unused = torch.tensor([bytes(row) not in digests for row in train.digests().numpy()])
    if not unused.any():
        raise UserError(
            f"`validation` must leave images of `train` to draw at random, got all {len(train):,} of them; give fewer, "
            "or a share of `train` to hold out, as 0.1."
        )
    return (train if unused.all() else train.subset(train.ids[unused])), validation


def _random(transfer_set: TransferSet, train: ImageSet, seed: int, teacher: Classifier | None) -> TransferSet:
    """As many real images of each class as the set has, labelled and used as it is."""
    counts = _counts(transfer_set)
    assert train.labels is not None
    rows: list[Tensor] = []
    for label, count in enumerate(counts):
        class_rows = (train.labels == label).nonzero().flatten()
        if len(class_rows) < count:
            raise UserError(
                f"`train` must have {count} images of {train.classes[label]!r} to draw at random, as the set has, got "
                f"{len(class_rows)}."
            )
        rows.append(
            class_rows[torch.randperm(len(class_rows), generator=generator(seed, "random images", label))[:count]]
        )
    images = train.subset(train.ids[torch.cat(rows)])
    bare = TransferSet(images, use=transfer_set.use)
    objective = weighted_sum(teaching_on(transfer_set, training={"steps": 1})[1].objective)
    if not objective.outputs_needed("teacher"):
        return bare
    if teacher is None:
        raise UserError(
            "`teacher` must give random images soft labels, as the set has them, got None; only with labels of one "
            "kind does a difference tell what the images are worth."
        )
    if asks_teacher(transfer_set):
        return bare
    columns, _ = class_places(classes_of(images), classes_of(teacher, f"the teacher {teacher.name}"))
    logits = predict(teacher, images)[:, list(columns)]
    return replace(bare, soft_labels=logits, soft_label_kind="logits")


def _counts(transfer_set: TransferSet) -> list[int]:
    """Number of images of each class that students see: more than are stored where each is cut into several."""
    images, soft = transfer_set.images, transfer_set.soft_targets
    if images.labels is not None:
        counts = images.class_counts()
    elif soft is None:
        raise UserError(f"the set {images.name!r} must have labels to be ranked, got none at all.")
    else:
        counts = torch.bincount(soft.values.argmax(1), minlength=soft.values.shape[1])
    return (counts * transfer_set.per_image).tolist()


def _matched(train: ImageSet, transfer_set: TransferSet) -> ImageSet:
    if train.labels is None:
        raise UserError(f"`train` must be labelled real images, got {train.name!r} without labels.")
    if not transfer_set.images.classes:
        return train
    return match_classes(train, classes_of(transfer_set.images, "the transfer set"), stacklevel=4)


def _unaugmented(transfer_set: TransferSet, training: Mapping[str, Any] | None) -> dict[str, Any]:
    """Settings of training without augmentation."""
    settled = teaching_on(transfer_set, training=training)[1].training
    return {"views": "none"} | ({"normalised_views": None} if "normalised_views" in settled else {})


def _check_full(full: Any) -> None:
    if not isinstance(full, Mapping) and not (isinstance(full, int | float) and 0 <= full <= 1):
        raise UserError(
            "`full` must be the accuracy after all the real images, 0 to 1, or settings of training by which to find "
            f"it, as {{'epochs': 50}}, got {full!r}."
        )
