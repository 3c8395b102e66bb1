"""Warnings of a teacher that may not fit its images, and of test images among those to learn from or to choose by."""

import time
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from limbeck.data.image_set import ImageSet
from limbeck.data.storage import image_digests
from limbeck.models.classifier import Classifier
from limbeck.recipes.inputs import Inputs

FROM_CHANCE = 0.1
"""Share of the way from chance to 100 %: a teacher below it knows next to nothing of these images."""
_LOOKED_AT = 128
_SAMPLED, _ROWS = 1000, 64
_FEW_TWICE = 0.02
"""Share of the evaluation images or, if those are fewer, of the others: data sets hold a few twice."""
_ROUNDING = 1e-3
"""How far from 1 a sum of probabilities may be, also in half precision."""
_FARTHEST_MEAN, _SMALLEST_STD, _LARGEST_STD = 2.0, 0.2, 4.0


def doubt_teacher(inputs: Inputs, *, stacklevel: int = 3) -> None:
    """Warns of a teacher that gives probabilities or is near chance on the test images, by its logits on them, which
    are computed anyway."""
    logits, test, teacher = inputs.teacher_test_logits, inputs.test, inputs.teacher
    if logits is None or test is None or test.labels is None or teacher is None:
        return
    if are_probabilities(logits):
        warnings.warn(
            f"what the teacher {teacher.name} gives for the test images are probabilities, >= 0 and of sum 1, and "
            "logits are meant: softmax is taken of them once more, which makes all classes nearly equal, so that "
            "students learn little from it. Hand over the network without the softmax at its end, or a module that "
            "returns the logarithm of what it gives.",
            stacklevel=stacklevel,
        )
    top1 = float((logits.argmax(1) == test.labels).double().mean())
    if (doubt := near_chance(top1, test)) is not None:
        warnings.warn(f"the teacher {teacher.name} {doubt}", stacklevel=stacklevel)


def are_probabilities(logits: Tensor) -> bool:
    """Whether outputs [N, K], K > 1, are those of a softmax: none below 0, and every row of sum 1.

    Example:
        >>> logits = torch.randn(4, 10)
        >>> are_probabilities(logits), are_probabilities(logits.softmax(1))
        (False, True)
    """
    sums = logits.double().sum(1)
    return bool(logits.shape[1] > 1 and (logits >= 0).all() and ((sums - 1).abs() < _ROUNDING).all())


def near_chance(top1: float, test: ImageSet) -> str | None:
    """A doubt about the teacher if this accuracy is near chance, or None.

    Example:
        >>> near_chance(0.9, test) is None, near_chance(0.11, test) is None
        (True, False)
    """
    counts = test.class_counts()
    chance = float(counts.max()) / len(test)
    if int((counts > 0).sum()) < 2 or top1 > chance + FROM_CHANCE * (1 - chance):
        return None
    return (
        f"is right about {top1:.1%} of the {len(test):,} test images, near the {chance:.1%} of always naming one "
        "class: it was taught other classes, another order of them or another normalisation, or too little. Students "
        "learn what it says; check its `classes`, `mean` and `std`, or give another."
    )


def warn_of_strangers(images: ImageSet | None, teacher: Classifier, *, stacklevel: int = 3) -> None:
    """Warns of images with other channels than the teacher takes, or far from its normalisation.

    Args:
        images: that the teacher will label, or None.
        teacher: with weights that were made elsewhere.
        stacklevel: of the warnings, counted from here.
    """
    for doubt in [] if images is None else strangers(images, teacher):
        warnings.warn(doubt, stacklevel=stacklevel)


def strangers(images: ImageSet, teacher: Classifier) -> list[str]:
    """How images differ from those a teacher expects, judged by a few of them.

    Example:
        >>> strangers(images, teacher)
        []
    """
    doubts = []
    channels = images.shape[0]
    if channels != teacher.channels and 1 in (channels, teacher.channels):
        shown, meant, outcome = (
            ("gray images", "colour", "repeated") if channels == 1 else ("colour", "gray ones", "lost")
        )
        doubts.append(
            f"{images.name!r} holds {shown}, and the teacher {teacher.name} was made for {meant}: what it is shown is "
            f"{outcome}. Choose a teacher of such images, or say by `channels: {teacher.channels}` that this is meant."
        )
    mean, std = _normalised(images, teacher)
    wrong = (mean.abs() > _FARTHEST_MEAN) | (std < _SMALLEST_STD) | (std > _LARGEST_STD)
    plain = all(x == 0 for x in teacher.normalisation[0]) and all(x == 1 for x in teacher.normalisation[1])
    if wrong.any() and teacher.whitening is None and not plain:
        worst = int(torch.where(wrong)[0][0])
        doubts.append(
            f"pixels of {images.name!r} come to mean {mean[worst]:.2f} and deviation {std[worst]:.2f} after the "
            f"normalisation of the teacher {teacher.name}, where 0 and 1 are usual: images of another kind, inverted, "
            "darker or of another `scale` than those that it was taught, or a wrong `mean` and `std` of it."
        )
    return doubts


def overlaps(inputs: Inputs, *, seconds: float = 10.0, keep: bool = True) -> list[str]:
    """Sentences of `train_test_overlap`, or else of `validation_test_overlap`, which would say the same again of
    validation images that were held out of those to learn from."""
    options: dict[str, Any] = {"seconds": seconds, "keep": keep}
    return train_test_overlap(inputs, **options) or validation_test_overlap(inputs, **options)


def train_test_overlap(inputs: Inputs, *, seconds: float = 10.0, keep: bool = True) -> list[str]:
    """Sentences on evaluation images that are also among the training images, if more than a few.

    Args:
        inputs: with the held-out images removed from the training images.
        seconds: time for reading images; large sets that are not decoded are only sampled.
        keep: whether hashes of images may be kept on disk, for later runs.
    """
    train = inputs.train
    held_out = {part: getattr(inputs, part) for part in ("test", "validation")}
    evaluated = {
        part: images
        for part, images in held_out.items()
        if images is not None and train is not None and images.shape == train.shape
    }
    if train is None or not any(map(len, evaluated.values())):
        return []
    shares = _shares_among(
        {part: images for part, images in evaluated.items() if len(images)}, train, seconds, keep=keep
    )
    return [
        f"{share:.0%} of the {part} images ({held_out[part].name}) are among those to learn from ({train.name}), "
        "pixel by pixel: accuracy on them says nothing of new images. Give others as "
        f"`data.{part}`, or hold some out by `data.{part}: 0.2`."
        for part, share in shares.items()
        if _more_than_few(share, held_out[part], train)
    ]


def validation_test_overlap(inputs: Inputs, *, seconds: float = 10.0, keep: bool = True) -> list[str]:
    """A sentence on test images that are also among the validation images, if more than a few; see
    `train_test_overlap`."""
    test, validation = inputs.test, inputs.validation
    if test is None or validation is None or not len(test) or not len(validation) or test.shape != validation.shape:
        return []
    share = _shares_among({"test": test}, validation, seconds, keep=keep)["test"]
    if not _more_than_few(share, test, validation):
        return []
    return [
        f"{share:.0%} of the test images ({test.name}) are among the validation images ({validation.name}), pixel by "
        "pixel: validation chooses among the states of a student, whose accuracy on images that it was chosen by is "
        "too high. Give others as `data.test` or `data.validation`, or hold some of those to learn from out by "
        "`data.validation: 0.1`."
    ]


def _more_than_few(share: float, evaluated: ImageSet, others: ImageSet) -> bool:
    """Whether a share of the evaluated images is more than the few that data sets hold twice."""
    return share * max(1, len(evaluated) / len(others)) > _FEW_TWICE


def _shares_among(
    evaluated: Mapping[str, ImageSet], others: ImageSet, seconds: float, *, keep: bool
) -> dict[str, float]:
    """The share of each set that is in `others`, extrapolated from the part that was read if time ran out."""
    began, read = time.monotonic(), 0
    wanted = {part: _digests(images, _spread(images, _SAMPLED), keep=keep) for part, images in evaluated.items()}
    missing = dict(wanted)
    for rows in torch.arange(len(others)).split(_ROWS):
        seen = _digests(others, rows, keep=keep)
        missing = {part: rest - seen for part, rest in missing.items()}
        read += len(rows)
        if not any(missing.values()) or time.monotonic() - began > seconds:
            break
    shares = {part: (len(wanted[part]) - len(rest)) / len(wanted[part]) for part, rest in missing.items()}
    return {part: min(1.0, share * (len(others) / read if missing[part] else 1)) for part, share in shares.items()}


def _spread(images: ImageSet, count: int) -> Tensor:
    """Positions of some images, spread evenly."""
    return torch.linspace(0, len(images) - 1, min(count, len(images))).round().to(torch.int64).unique()


def _digests(images: ImageSet, rows: Tensor, *, keep: bool) -> set[bytes]:
    """A hash of the pixels of each image."""
    stored = keep or images.is_decoded
    hashes = images.storage.digests(rows) if stored else image_digests(images.gather(rows))
    return {bytes(row) for row in hashes.numpy()}


def _normalised(images: ImageSet, teacher: Classifier) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation [C] of evenly spread images after the teacher's normalisation."""
    pixels = images.gather(_spread(images, _LOOKED_AT)).transpose(0, 1).flatten(1).float() / 255  # [C, B * H * W]
    mean, std = (torch.tensor(values) for values in teacher.normalisation)
    if len(pixels) != len(mean):
        pixels = pixels.mean(0, keepdim=True).expand(len(mean), -1)
    return (pixels.mean(1) - mean) / std, pixels.std(1) / std
