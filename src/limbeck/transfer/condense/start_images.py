"""Chooses the images that learning begins with: at random, correctly classified ones, or those of another maker."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from limbeck.cost import Cost
from limbeck.data.classes import classes_of, few, match_classes
from limbeck.data.image_set import ImageSet
from limbeck.data.transfer_set import TransferSet
from limbeck.errors import UserError
from limbeck.models.classifier import Classifier
from limbeck.models.forward import whole_outputs
from limbeck.randomness import derive_seed, words
from limbeck.transfer.catalogue import find_maker
from limbeck.transfer.condense.settings import CondenseSettings
from limbeck.transfer.maker import MakerContext

INITIAL = "initial"
"""Folder, in the maker's own, of the maker that chooses the images."""
_FEWEST, _MOST = 32, 256  # limits on the images of a class that a judge sees at a time


@dataclass(frozen=True)
class Chosen:
    """Images, class after class.

    Attributes:
        images: M of them.
        rows: row of each in the pool, int64 `[M]`; -1 for one from elsewhere.
        sources, source_ids: where each is from, and its id there.
        cost: of choosing.
        remarks: texts of warnings.
    """

    images: ImageSet
    rows: Tensor
    sources: Sequence[str]
    source_ids: Sequence[int | None]
    cost: Cost
    remarks: tuple[str, ...] = ()

    @property
    def labels(self) -> Tensor:
        assert self.images.labels is not None
        return self.images.labels


def random_images(pool: ImageSet, quotas: Tensor, seed: int) -> Chosen:
    """As many of each class as `quotas` say, int64 `[K]`, drawn from seed and ids."""
    rows = [order[:quota] for order, quota in zip(_orders(pool, seed), quotas.tolist(), strict=True)]
    return _of_pool(pool, torch.cat(rows), Cost())


def correct_images(pool: ImageSet, quotas: Tensor, seed: int, judges: Sequence[Classifier]) -> Chosen:
    """Images that the first judge classifies correctly; where a class has too few, the next judges', then any.

    They are tried in the same random order as that of `random_images`.
    """
    rows, passes, lacking = [], 0, []
    for label, (order, quota) in enumerate(zip(_orders(pool, seed), quotas.tolist(), strict=True)):
        right = torch.zeros(len(order), dtype=torch.bool)
        taken: list[Tensor] = []
        batch = min(max(_FEWEST, 2 * quota), _MOST)
        for judge in judges:
            for places in (~right).nonzero().flatten().split(batch):
                missing = quota - sum(map(len, taken))
                if missing <= 0:
                    break
                logits = whole_outputs(judge, pool.subset(pool.ids[order[places]])).logits
                passes += len(places)
                hits = places[logits.argmax(1) == label]
                right[hits] = True
                taken.append(hits[:missing])
        count = sum(map(len, taken))
        if count < quota:
            lacking.append(f"{pool.classes[label]!r} ({count} of {quota})")
            taken.append((~right).nonzero().flatten()[: quota - count])
        rows.append(order[torch.cat(taken)] if taken else order[:0])
    cost = Cost(images_read=passes, teacher_passes=passes)
    return replace(_of_pool(pool, torch.cat(rows), cost), remarks=_too_few(lacking))


def chosen_by_maker(settings: CondenseSettings, pool: ImageSet, quotas: Tensor, context: MakerContext) -> Chosen:
    """The images of another maker's transfer set, or of one on disk, sorted by class.

    Raises:
        UserError: what the maker raises; it makes images round by round; see `chosen_on_disk`.
    """
    if settings.initial_folder is not None:
        return chosen_on_disk(settings, pool, quotas)
    initial = settings.initial
    assert initial is not None, "settings name a maker"
    made = find_maker(initial.maker).make(initial, replace(context, folder=context.folder / INITIAL, pool=pool))
    if made.source.steps_per_round is not None:
        raise UserError(
            f"`initialise` must name a maker whose images are there from the beginning, and {initial.title} makes them "
            "round by round; make a transfer set of them first, and condense that."
        )
    return _chosen_of(made.source.images(0), initial.title, settings, pool, quotas, made.cost)


def chosen_on_disk(settings: CondenseSettings, pool: ImageSet, quotas: Tensor) -> Chosen:
    """The images of the transfer set in the folder that settings name, sorted by class.

    Raises:
        UserError: the set is missing or damaged; its images are cut into several when they are used; they have no
            labels, other classes, or another shape or number.
    """
    folder = settings.initial_folder
    assert folder is not None, "settings name a set"
    transfer_set = TransferSet.load(folder)
    if transfer_set.per_image > 1:
        raise UserError(
            f"`initialise` must give images that are used as they are, got those of {folder!r}, each of which is cut "
            f"into {transfer_set.per_image}; give a set of `per_image: 1`, or begin with 'real' images."
        )
    if transfer_set.images.shape != pool.shape:
        raise UserError(
            f"`initialise` must give images [C, H, W] of {list(pool.shape)}, got {list(transfer_set.images.shape)} of "
            f"{folder!r}; choose some of these training images."
        )
    return _chosen_of(transfer_set, repr(folder), settings, pool, quotas, Cost())


def _chosen_of(
    transfer_set: TransferSet, whose: str, settings: CondenseSettings, pool: ImageSet, quotas: Tensor, cost: Cost
) -> Chosen:
    images = transfer_set.images
    if images.labels is None:
        raise UserError(f"`initialise` must give images with labels, and those of {whose} have none.")
    images = match_classes(images, classes_of(pool), f"the images of {whose}")
    assert images.labels is not None
    counts = images.class_counts()
    parts = settings.per_image
    if len(images) != int(quotas.sum()) or bool((counts % parts).any()) or bool((counts[quotas > 0] == 0).any()):
        odd = few(
            [
                f"{name!r} {count}"
                for name, count, quota in zip(pool.classes, counts, quotas, strict=True)
                if count != quota
            ]
        )
        clause = f", {parts} for each that is kept" if parts > 1 else ""
        raise UserError(
            f"`initialise` must give {int(quotas.sum())} images, some of each class{clause}, got {len(images)} of "
            f"{whose} ({odd}); choose a criterion that goes by class."
        )
    order = images.labels.argsort(stable=True)
    return _of_set(transfer_set, images, order, pool, cost)


def _orders(pool: ImageSet, seed: int) -> list[Tensor]:
    """Rows of every class, int64, each in a random order that depends on seed and ids alone."""
    assert pool.labels is not None
    order = words(derive_seed(seed, "initial"), 0, pool.ids).argsort()
    labels = pool.labels[order]
    return [order[labels == label] for label in range(pool.num_classes)]


def _of_pool(pool: ImageSet, rows: Tensor, cost: Cost) -> Chosen:
    ids = pool.ids[rows]
    return Chosen(pool.subset(ids), rows, [pool.name] * len(rows), ids.tolist(), cost)


def _of_set(transfer_set: TransferSet, images: ImageSet, order: Tensor, pool: ImageSet, cost: Cost) -> Chosen:
    places = order.tolist()
    provenance = transfer_set.provenance
    sources = provenance.get("source", [images.name] * len(images))
    source_ids = provenance.get("source_id", images.ids)
    sources = [str(sources[place]) for place in places]
    ids = [None if source_ids[place] is None else int(source_ids[place]) for place in places]
    row_of = {image_id: row for row, image_id in enumerate(pool.ids.tolist())}
    rows = [
        row_of.get(image_id, -1) if image_id is not None and source == pool.name else -1
        for image_id, source in zip(ids, sources, strict=True)
    ]
    return Chosen(images.subset(images.ids[order]), torch.tensor(rows), sources, ids, cost)


def _too_few(short: Sequence[str]) -> tuple[str, ...]:
    if not short:
        return ()
    return (
        f"no judge is right about as many images as begin of {few(short)}; others of these classes, at random, make up "
        "for them. Teach the experts longer, or begin with `initialise: real`.",
    )
