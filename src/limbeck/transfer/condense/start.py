"""The images and labels that learning begins with."""

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from limbeck.cost import Cost
from limbeck.data.image_set import ImageSet
from limbeck.data.multi_formation import merge_images
from limbeck.data.storage import in_levels
from limbeck.errors import UserError
from limbeck.models.classifier import Classifier
from limbeck.models.forward import device_of
from limbeck.randomness import derive_seed, generator, words
from limbeck.transfer.allocation import shares
from limbeck.transfer.condense.settings import CondenseSettings
from limbeck.transfer.condense.start_images import Chosen, chosen_by_maker, correct_images, random_images
from limbeck.transfer.condense.start_labels import Labels, soft_labels
from limbeck.transfer.condense.synthetic import SyntheticSet
from limbeck.transfer.maker import MakerContext

_BATCH = 256  # images normalised or whitened at a time


@dataclass(frozen=True, kw_only=True)
class Start:
    """Images before anything is learned, class after class.

    Attributes:
        synthetic: the images with their labels.
        classes: class of each image, int64 `[N]`.
        rows: rows in the pool of the P images that each was made of, int64 `[N, P]`; -1 for one from elsewhere.
        provenance: columns `source` and `source_id` of N values.
        right: how many judges are right about each image, int64 `[N]`, the fewest of its P; None where none judged.
        judges: how many judges there were.
        cost: of choosing and labelling.
    """

    synthetic: SyntheticSet
    classes: Tensor
    rows: Tensor
    provenance: dict[str, Any]
    right: Tensor | None
    judges: int
    cost: Cost


def initial_set(
    settings: CondenseSettings,
    pool: ImageSet,
    classifier: Classifier,
    judges: Sequence[Classifier] = (),
    *,
    count: int,
    seed: int,
    teacher: Classifier | None = None,
    context: MakerContext | None = None,
    chosen: Chosen | None = None,
) -> Start:
    """The images that learning begins with, evenly over the pool's classes, and their labels.

    They are drawn at random ("real"); drawn at random among those that the first judge classifies correctly, then the
    next judges where a class has too few ("correct"); chosen by another maker; or normal noise in the network's space.
    The choice depends on seed and ids alone. A soft label is the mean of the logits of all judges that are right about
    the image, or, with a warning, of all judges where none is; a teacher's labels are its logits.

    Args:
        settings: `initialise`, `labels`, `learned` and `per_image` of the maker.
        pool: real images with labels.
        classifier: the network on which images are learned; they are in its input space.
        judges: fully taught networks of the pool's classes.
        count: N.
        seed: any whole number.
        teacher: gives labels.
        context: for another maker that chooses the images.
        chosen: what `chosen_for` returned, where another maker has chosen already.

    Raises:
        UserError: a pool without labels, more images than it has, or fewer than it has classes; judges or teacher
            missing, of other classes, or with logits that are not finite; what another maker chose does not fit.

    Example:
        >>> settings = CondenseSettings(budget="2/class", method="mtt")
        >>> start = initial_set(settings, images, student, count=20, seed=0)
        >>> start.synthetic.inputs.shape, start.classes[:4], start.rows.shape
        (torch.Size([20, 1, 8, 8]), tensor([0, 0, 1, 1]), torch.Size([20, 1]))

    Source: Guo et al., "Towards lossless dataset distillation via difficulty-aligned trajectory matching", ICLR 2024;
    Lee and Chung, "SelMatch", ICML 2024, for the share that is learned.
    """
    began = time.perf_counter() - (0 if chosen is None else chosen.cost.seconds)
    _check(settings, pool, classifier, judges, teacher)
    parts = settings.per_image
    quotas = _quotas(settings, pool, count)
    if settings.initialise == "noise":
        classes = torch.arange(len(quotas)).repeat_interleave(quotas)
        inputs = _noise(classifier, pool, count, seed)
    else:
        chosen = chosen or _chosen(settings, pool, judges, quotas * parts, seed, context)
        classes = chosen.labels[::parts]
        inputs = _inputs(classifier, chosen.images, parts)
    labels = _labels(settings, judges, teacher, classifier, chosen, classes, inputs)
    _warn([*([] if chosen is None else chosen.remarks), *labels.remarks])
    cost = labels.cost + (Cost() if chosen is None else chosen.cost)
    return Start(
        synthetic=SyntheticSet(inputs, labels.values, _rate(settings), _learned(classes, settings.learned, seed)),
        classes=classes,
        rows=torch.full((count, parts), -1) if chosen is None else chosen.rows.view(count, parts),
        provenance=_provenance(chosen, count, parts),
        right=None if labels.right is None else labels.right.view(count, -1).amin(1),
        judges=len(judges) if labels.right is not None else 0,
        cost=replace(cost, seconds=time.perf_counter() - began),
    )


def chosen_for(settings: CondenseSettings, pool: ImageSet, *, count: int, context: MakerContext) -> Chosen:
    """The images that another maker, or a set on disk, gives to begin with.

    Args:
        settings: of `condense`; `initialise` names the maker or the set.
        pool, count, context: see `initial_set`.

    Raises:
        UserError: see `initial_set`.
    """
    return chosen_by_maker(settings, pool, _quotas(settings, pool, count) * settings.per_image, context)


def _check(
    settings: CondenseSettings,
    pool: ImageSet,
    classifier: Classifier,
    judges: Sequence[Classifier],
    teacher: Classifier | None,
) -> None:
    if pool.labels is None:
        raise UserError(f"images are condensed class by class, and {pool.name!r} has no labels; give labelled ones.")
    if (settings.labels == "soft" or settings.initialise == "correct") and not judges:
        setting = "`labels: soft`" if settings.labels == "soft" else "`initialise: correct`"
        raise UserError(
            f"{setting} needs `judges`, networks that are taught to the end, got none; set `experts.judges`."
        )
    if settings.labels == "teacher" and teacher is None:
        raise UserError("`labels: teacher` needs a teacher, got none; give one, or take 'soft' or 'hard' labels.")
    networks = {"`classifier`": classifier, **{f"`judges[{i}]`": judge for i, judge in enumerate(judges)}}
    if settings.labels == "teacher" and teacher is not None:
        networks["`teacher`"] = teacher
    for argument, network in networks.items():
        if network.num_classes != pool.num_classes:
            raise UserError(
                f"{argument} must tell the {pool.num_classes} classes of {pool.name!r} apart, got {network.name} of "
                f"{network.num_classes}."
            )


def _quotas(settings: CondenseSettings, pool: ImageSet, count: int) -> Tensor:
    """Images per class, int64 `[K]`: evenly over the classes that the pool has, as far as each has enough images."""
    sizes, parts = pool.class_counts(), settings.per_image
    present = int((sizes > 0).sum())
    if count < present:
        raise UserError(
            f"`count` must be at least {present}, one image for each class of {pool.name!r}, got {count}; raise "
            "`budget`."
        )
    of_pool = settings.initialise in ("real", "correct")
    room = sizes // parts if of_pool else (sizes > 0) * count
    if count > int(room.sum()) or int(room[sizes > 0].min()) == 0:
        clause = f", each put together of {parts}," if parts > 1 else ""
        raise UserError(
            f"`count` must be at most {int(room.sum())}, as images{clause} begin as those of {pool.name!r}, got "
            f"{count}; lower `budget`."
        )
    return shares(count, room)


def _chosen(
    settings: CondenseSettings,
    pool: ImageSet,
    judges: Sequence[Classifier],
    quotas: Tensor,
    seed: int,
    context: MakerContext | None,
) -> Chosen:
    if settings.initialise == "real":
        return random_images(pool, quotas, seed)
    if settings.initialise == "correct":
        return correct_images(pool, quotas, seed, judges)
    assert isinstance(settings.initialise, dict)
    if context is None:
        raise UserError("`initialise` by another maker needs a `context` that it may use, got none.")
    return chosen_by_maker(settings, pool, quotas, context)


def _labels(
    settings: CondenseSettings,
    judges: Sequence[Classifier],
    teacher: Classifier | None,
    classifier: Classifier,
    chosen: Chosen | None,
    classes: Tensor,
    inputs: Tensor,
) -> Labels:
    """Logits `[N, K]`, averaged over the parts of an image, or class numbers int64 `[N]`."""
    if settings.labels == "hard":
        return Labels(classes, None, (), Cost())
    if chosen is None:
        levels = in_levels(classifier.images_of(inputs).detach())
        images = ImageSet(levels, classes, classes=[str(k) for k in range(classifier.num_classes)], name="noise")
    else:
        images = chosen.images
    if settings.labels == "soft":
        labels = soft_labels(judges, images, "judges")
    else:
        assert teacher is not None, "looked at before"
        labels = replace(soft_labels([teacher], images, "teacher"), right=None, remarks=())
    return replace(labels, values=labels.values.unflatten(0, (len(classes), -1)).mean(1))


def _inputs(classifier: Classifier, images: ImageSet, parts: int) -> Tensor:
    """The images, `parts` merged into one, as inputs of the network: float32 `[N, C, H, W]`."""
    device = device_of(classifier)
    batches = []
    for rows in torch.arange(len(images)).split(_BATCH // parts * parts):
        pixels = images.floats(rows).float() if images.has_floats else images.gather(rows)
        merged = merge_images(pixels, parts)
        with torch.no_grad():
            batches.append(classifier.prepare(merged.to(device)).float().cpu())
    return torch.cat(batches)


def _noise(classifier: Classifier, pool: ImageSet, count: int, seed: int) -> Tensor:
    size = classifier.input_size or pool.shape[1:]
    return torch.randn(count, classifier.channels, *size, generator=generator(seed, "noise"))


def _rate(settings: CondenseSettings) -> float:
    return settings.matching.rate if settings.by == "trajectories" else settings.use.learning_rate


def _learned(classes: Tensor, share: float, seed: int) -> Tensor:
    """Which images are learned, bool `[N]`: a share of each class, drawn at random, at least one."""
    learned = torch.ones(len(classes), dtype=torch.bool)
    if share == 1:
        return learned
    keys = words(derive_seed(seed, "learned"), 0, torch.arange(len(classes)))
    for label in classes.unique():
        rows = (classes == label).nonzero().flatten()
        order = rows[keys[rows].argsort()]
        learned[order[max(1, round(share * len(rows))) :]] = False
    return learned


def _provenance(chosen: Chosen | None, count: int, parts: int) -> dict[str, Any]:
    if chosen is None:
        return {"source": ["noise"] * count, "source_id": [None] * count}
    if parts == 1:
        return {"source": list(chosen.sources), "source_id": list(chosen.source_ids)}
    ids = [chosen.source_ids[start : start + parts] for start in range(0, count * parts, parts)]
    return {"source": list(chosen.sources[::parts]), "source_id": [" ".join(map(str, part_ids)) for part_ids in ids]}


def _warn(remarks: Sequence[str]) -> None:
    if remarks:
        warnings.warn(" ".join(remarks), stacklevel=3)
