"""RDED: the crops of real images that a teacher is surest of, put together into images; nothing is optimised.

Sun, Shi, Yuan and Lin, "On the diversity and realism of distilled dataset: an efficient dataset distillation paradigm",
CVPR 2024. It needs soft labels for every view that a student sees: with hard labels students learn far less.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, interpolate

from limbeck.data.image_set import ImageSet
from limbeck.data.multi_formation import part_boxes
from limbeck.errors import UserError
from limbeck.models.classifier import Classifier
from limbeck.models.forward import FrozenTeacher, device_of
from limbeck.progress import Progress, Silent
from limbeck.randomness import derive_seed, uniform, words
from limbeck.transfer.condense.method_settings import Crops

WIDE = 128
"""Images at least this many pixels high and wide hold four crops; smaller ones hold one."""
_BATCH = 500  # crops per forward pass of the teacher


@dataclass(frozen=True)
class CropImages:
    """Images made of crops, class by class.

    Attributes:
        images: uint8 `[N, C, H, W]`.
        labels: int64 `[N]`.
        sources: int64 `[N, P]`, ids of the real images that the P crops in each come from, row by row.
        scores: float32 `[N, P]`, the teacher's cross entropy on each crop; low is easy.
    """

    images: Tensor
    labels: Tensor
    sources: Tensor
    scores: Tensor


class _Candidates(NamedTuple):
    """Crops of one class, one per row."""

    crops: Tensor  # uint8 [M, C, h, w]
    sources: Tensor  # int64 [M]
    scores: Tensor  # float32 [M]


def crops_per_image(height: int, width: int) -> int:
    """How many crops make an image: 4 where both sides have 128 pixels, else 1.

    Example:
        >>> crops_per_image(32, 32), crops_per_image(224, 224)
        (1, 4)
    """
    return 4 if min(height, width) >= WIDE else 1


def images_of_crops(
    pool: ImageSet,
    teacher: FrozenTeacher,
    settings: Crops,
    counts: Sequence[int] | Tensor,
    *,
    seed: int,
    progress: Progress | None = None,
) -> CropImages:
    """Images of each class, put together from crops that the teacher has rated.

    For each class, `settings.candidates` images are drawn at random, and the teacher rates `settings.crops` crops of
    each: of the image's aspect ratio, shrunk to one part of an image, and padded to full size with the teacher's mean
    colour. The crop of lowest cross entropy stands for its image. Of these crops the lowest are taken, or some that are
    spread evenly from low to high; for n images, the j-th lowest is part `j // n` of image `j % n`. Where candidates
    are too few more images are drawn, and where a class has no more images, further crops of the same ones are taken.
    What is drawn depends on seed and ids alone.

    Args:
        pool: images with labels.
        teacher: knows the pool's classes, by name in any order, else by number.
        settings: how crops are drawn and picked.
        counts: images per class, `[K]`.
        seed: any whole number.
        progress: reports classes done.

    Raises:
        UserError: the pool has no labels, the teacher other classes, or a class too few images.

    Example:
        >>> from limbeck.models.forward import FrozenTeacher, device_of
        >>> rater = FrozenTeacher(teacher, device=torch.device("cpu"))
        >>> made = images_of_crops(images, rater, Crops(candidates=10), [2] * 10, seed=0)
        >>> made.images.shape, rater.passes
        (torch.Size([20, 1, 8, 8]), 500)
    """
    quotas = [int(count) for count in counts]
    _, height, width = pool.shape
    parts = crops_per_image(height, width)
    rows = rows_of_crops(pool, settings, quotas)
    teacher_labels = _places(pool, teacher.classifier)
    progress = progress or Silent()
    class_images: list[CropImages] = []
    progress.begin("crops", len(quotas))
    for label, count in enumerate(quotas):
        if count:
            candidates = _candidates(pool, rows[label], teacher, settings, teacher_labels[label], count * parts, seed)
            class_images.append(_merged(_picked(candidates, settings, count * parts), label, count, pool.shape))
        progress.update(label + 1)
    progress.end()
    names = ("images", "labels", "sources", "scores")
    return CropImages(*(torch.cat([getattr(images, name) for images in class_images]) for name in names))


def rows_of_crops(pool: ImageSet, settings: Crops, wanted: list[int]) -> list[Tensor]:
    """Rows of the pool that belong to each class, checked to suffice for the images wanted.

    Args:
        pool: labelled.
        settings: how many crops of an image are looked at.
        wanted: how many images of each class.

    Raises:
        UserError: no labels, counts of other classes, or fewer crops than are needed.

    Example:
        >>> [len(rows) for rows in rows_of_crops(images, Crops(), [1] * 10)][:2]
        [23, 20]
    """
    parts = crops_per_image(*pool.shape[1:])
    if pool.labels is None:
        raise UserError(f"crops are rated by their class, and {pool.name!r} has no labels; give labelled images.")
    if len(wanted) != pool.num_classes:
        raise UserError(
            f"`counts` must be of the {pool.num_classes} classes of {pool.name!r}, a number each, got {len(wanted)}."
        )
    if min(wanted) < 0 or not any(wanted):
        raise UserError(f"`counts` must be whole numbers from 0, one above it, got {wanted}.")
    rows = [(pool.labels == label).nonzero().flatten() for label in range(pool.num_classes)]
    for name, count, class_rows in zip(pool.classes, wanted, rows, strict=True):
        if count * parts > len(class_rows) * settings.crops:
            raise UserError(
                f"{count} images of class {name!r} take {count * parts} crops, and {pool.name!r} has {len(class_rows)} "
                f"such images of {settings.crops} crops each; lower the budget, or raise `crops.crops`."
            )
    return rows


def _places(pool: ImageSet, classifier: Classifier) -> list[int]:
    """The teacher's number for each class of the pool."""
    teacher_names = classifier.classes
    if set(pool.classes) <= set(teacher_names):
        return [teacher_names.index(name) for name in pool.classes]
    if classifier.num_classes != pool.num_classes:
        raise UserError(
            f"the teacher {classifier.name} must know the {pool.num_classes} classes of {pool.name!r} by name, or have "
            f"as many, got {classifier.num_classes}."
        )
    return list(range(pool.num_classes))


def _candidates(
    pool: ImageSet, rows: Tensor, teacher: FrozenTeacher, settings: Crops, label: int, needed: int, seed: int
) -> _Candidates:
    """The best crop of each candidate image, and next best ones as far as they are needed."""
    keys = words(derive_seed(seed, "crops", "candidates"), 0, pool.ids[rows])
    rows = rows[keys.argsort()][: max(settings.candidates, needed)]
    ids, pixels = pool.ids[rows], pool.gather(rows)  # [n], [n, C, H, W]
    crops = torch.stack([_crops(pixels, ids, number, settings, seed) for number in range(settings.crops)], 1)
    scores = _scores(teacher, crops.flatten(0, 1), pool.shape, label).view(len(ids), settings.crops)
    # [n, crops] -> [n, depth]: as many of each image's best crops as give enough
    depth = -(-needed // len(ids))
    sorted_scores, order = scores.sort(dim=1, stable=True)
    best, order = sorted_scores[:, :depth], order[:, :depth]
    image = torch.arange(len(ids))[:, None]
    candidates = _Candidates(crops[image, order].flatten(0, 1), ids[:, None].expand_as(order).flatten(), best.flatten())
    if settings.pick == "spread":
        return candidates
    # Next best crops only fill up: they never displace the best crop of any image.
    last = torch.arange(depth).expand_as(order).flatten() == depth - 1
    filling = candidates.scores.where(last, -torch.inf).argsort(stable=True)[:needed]
    return _Candidates(*(field[filling] for field in candidates)) if depth > 1 else candidates


def _crops(pixels: Tensor, ids: Tensor, number: int, settings: Crops, seed: int) -> Tensor:
    """Crop `number` of each image, uint8 [n, C, H, W] -> [n, C, h, w], shrunk to the largest part of an image."""
    height, width = pixels.shape[-2:]
    _, h, _, w = part_boxes((height, width), crops_per_image(height, width))[0]
    source = derive_seed(seed, "crops", number)
    share, down, along = (uniform(words(source, stream, ids)).double() for stream in range(3))
    low, high = settings.area
    side = (low + share * (high - low)).sqrt()
    sizes = [(side * length).round().clamp(1, length).long() for length in (height, width)]
    tops, lefts = (
        (draw * (length - size + 1)).long()
        for draw, length, size in zip((down, along), (height, width), sizes, strict=True)
    )
    boxes = torch.stack([tops, tops + sizes[0], lefts, lefts + sizes[1]], 1).tolist()
    shrunk = [
        interpolate(image[None, :, top:bottom, left:right].float(), (h, w), mode="bilinear", antialias=True)
        for image, (top, bottom, left, right) in zip(pixels, boxes, strict=True)
    ]
    return torch.cat(shrunk).round().clamp(0, 255).to(torch.uint8)


def _scores(teacher: FrozenTeacher, crops: Tensor, shape: tuple[int, int, int], label: int) -> Tensor:
    """The teacher's cross entropy [M] on crops [M, C, h, w], each placed in the middle of its mean image."""
    _, height, width = shape
    h, w = crops.shape[-2:]
    top, left = (height - h) // 2, (width - w) // 2
    background = _mean_image(teacher.classifier, shape)
    scores = []
    for batch in crops.split(_BATCH):
        shown = batch.to(teacher.device)
        if (h, w) != (height, width):
            shown = background.repeat(len(batch), 1, 1, 1)
            shown[..., top : top + h, left : left + w] = batch.to(teacher.device) / 255
        logits = teacher(shown).logits
        labels = torch.full((len(batch),), label, device=logits.device)
        scores.append(cross_entropy(logits, labels, reduction="none").cpu())
    entropies = torch.cat(scores)
    if wrong := int((~entropies.isfinite()).sum()):
        raise UserError(
            f"the teacher {teacher.classifier.name} must rate crops by finite numbers, got {wrong} that are not; are "
            "its weights whole?"
        )
    return entropies


def _mean_image(classifier: Classifier, shape: tuple[int, int, int]) -> Tensor:
    """The image that normalises to zero, [1, C, H, W] in [0, 1]: one colour, or the mean image with whitening."""
    channels, height, width = shape
    zeros = torch.zeros(1, classifier.channels, *(classifier.input_size or (height, width)))
    mean = classifier.images_of(zeros.to(device_of(classifier)))
    if mean.shape[1] != channels:
        mean = mean.mean(1, keepdim=True).expand(-1, channels, -1, -1)
    return interpolate(mean, (height, width), mode="bilinear") if mean.shape[2:] != (height, width) else mean


def _picked(candidates: _Candidates, settings: Crops, needed: int) -> _Candidates:
    """As many crops as needed, from low to high cross entropy."""
    order = candidates.scores.argsort(stable=True)
    if settings.pick == "spread":
        # The middles of equal intervals, so that neither end is favoured.
        order = order[((torch.arange(needed) + 0.5) * len(order) / needed).long()]
    return _Candidates(*(field[order[:needed]] for field in candidates))


def _merged(picked: _Candidates, label: int, count: int, shape: tuple[int, int, int]) -> CropImages:
    parts = len(picked.scores) // count
    images = torch.empty(count, *shape, dtype=torch.uint8)
    for part, (top, bottom, left, right) in enumerate(part_boxes(shape[1:], parts)):
        crops = picked.crops[part * count : (part + 1) * count]
        # The first part is the largest; others are a row or a column smaller where sides are odd.
        images[..., top:bottom, left:right] = crops[..., : bottom - top, : right - left]
    by_image = [values.view(parts, count).T.contiguous() for values in (picked.sources, picked.scores)]
    return CropImages(images, torch.full((count,), label), by_image[0], by_image[1])
