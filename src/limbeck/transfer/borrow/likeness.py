"""Distance of borrowed images from real ones, class by class, in the teacher's embedding."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from limbeck.data.loading import load
from limbeck.device import Device
from limbeck.evaluation.embedding_distance import SPLITS, distance_of_halves, energy_coefficient
from limbeck.models.forward import whole_outputs
from limbeck.randomness import derive_seed, uniform, words
from limbeck.transfer.borrow.considered import Array
from limbeck.transfer.evidence_figures import TableFigure, Value

if TYPE_CHECKING:
    from limbeck.data import ImageSet
    from limbeck.models import Classifier
    from limbeck.transfer.borrow.chosen import Chosen
    from limbeck.transfer.borrow.pools import Pool
    from limbeck.transfer.score_table.read import ScoreTable

MOST_IMAGES = 1000
"""Largest number of images of each kind that the teacher sees."""
MOST_CLASSES, _OF_CLASS = 50, 20
_KIND, _QUICK = "dead-leaves", 64
"""Procedural images to compare borrowed ones with, and the largest side in pixels at which they are quick to make."""
BORROWED, RANDOM = "Borrowed", "Balanced random of the same pools"


@dataclass(frozen=True, eq=False)
class Seen:
    """Embeddings of some images.

    Attributes:
        embeddings: float32 `[n, D]`.
        classes: int64 `[n]`.
    """

    embeddings: Tensor
    classes: Tensor

    def of(self, label: int | None) -> Tensor:
        """Embeddings of one class, or of all."""
        return self.embeddings if label is None else self.embeddings[self.classes == label]


@dataclass(frozen=True, eq=False)
class Likeness:
    """What was measured.

    Attributes:
        figure: for the report.
        distances: kind of images -> energy coefficient to the real ones, all classes together; None for too few images.
        chance: the highest coefficient between halves of the real images; None for too few.
        passes: number of teacher passes for this measurement.
    """

    figure: TableFigure
    distances: Mapping[str, float | None]
    chance: float | None
    passes: int


def likeness(
    chosen: "Chosen",
    table: "ScoreTable",
    pools: Sequence["Pool"],
    teacher: "Classifier",
    real: "ImageSet",
    *,
    beside: Mapping[str, "ImageSet"] | None = None,
    device: Device = "auto",
    precision: str = "auto",
) -> Likeness | None:
    """Energy coefficients between embeddings of real and of borrowed, random and other images.

    See `energy_coefficient`. The same number of images of every class is measured, as many as were chosen, and at most
    `MOST_IMAGES` per kind in all.

    Args:
        chosen: from the table.
        table: of the pools.
        pools: with the images.
        teacher: computes embeddings, and classes of images without labels of its classes.
        real: images of the target task.
        beside: other images to measure, such as procedural ones, by their name in the report.
        device, precision: where and how the teacher computes.

    Returns:
        None for a teacher without a tap for its embedding.
    """
    if teacher.taps.embedding is None:
        return None
    labels = _measured(chosen)
    ask = _Asking(teacher, device, precision)
    each = min(MOST_IMAGES // len(labels), max(_OF_CLASS, int(chosen.distinct.max())))
    seen = {BORROWED: ask.of_pools(pools, _borrowed(chosen, labels, each))}
    seen[RANDOM] = ask.of_pools(pools, _random(table, chosen, labels, each))
    several = each * len(labels)
    seen |= {name: ask.of(_some(images, several, chosen.seed), None) for name, images in (beside or {}).items()}
    same_classes = real.labels is not None and tuple(real.classes) == tuple(chosen.classes)
    sample = _of_classes(real, labels, each, chosen.seed) if same_classes else _some(real, several, chosen.seed)
    real_seen = ask.of(sample, sample.labels if same_classes else None)
    rows = [
        (name, label)
        for name, label in [("all classes", None), *((chosen.classes[number], number) for number in labels)]
    ]
    cells = {label: [_distance(kind.of(label), real_seen.of(label)) for kind in seen.values()] for _, label in rows}
    chance = {label: _chance(real_seen.of(label), chosen.seed) for _, label in rows}
    table_rows: list[list[Value]] = [
        [name, *cells[label], chance[label], len(seen[BORROWED].of(label)), len(real_seen.of(label))]
        for name, label in rows
    ]
    figure = TableFigure(
        title=f"Distance from images of {real.name}, as the teacher sees them",
        columns=["Class", *seen, "Halves of the real ones, highest", "Borrowed images", "Real images"],
        rows=table_rows,
        note=_note(len(chosen.classes), len(labels), own=same_classes),
    )
    overall = dict(zip(seen, cells[None], strict=True))
    return Likeness(figure, overall, chance[None], ask.passes)


def procedural(shape: tuple[int, int, int]) -> dict[str, "ImageSet"]:
    """`MOST_IMAGES` procedural images of shape (C, H, W), by their name in the report; none if making them is slow."""
    channels, *size = shape
    if max(size) > _QUICK:
        return {}
    return {f"Procedural, {_KIND}": load(_KIND, images=MOST_IMAGES, size=(size[0], size[1]), channels=channels)}


class _Asking:
    """The teacher, and a count of its passes."""

    def __init__(self, teacher: "Classifier", device: Device, precision: str) -> None:
        self._teacher = teacher
        self._options = {"device": device, "precision": precision}
        self.passes = 0

    def of(self, images: "ImageSet", classes: Tensor | None) -> Seen:
        """Embeddings of images with these classes, or with those that the teacher predicts."""
        outputs = whole_outputs(self._teacher, images, ("embedding",), **self._options)
        assert outputs.embedding is not None
        self.passes += len(images)
        return Seen(outputs.embedding, outputs.logits.argmax(1) if classes is None else classes)

    def of_pools(self, pools: Sequence["Pool"], wanted: Mapping[str, tuple[Array, Array]]) -> Seen:
        """Embeddings of images of several pools; `wanted` is name of the pool -> ids and classes, int64 `[n]`."""
        by_name = {pool.name: pool.images for pool in pools}
        parts = [
            self.of(by_name[name].subset(torch.from_numpy(ids)), torch.from_numpy(classes))
            for name, (ids, classes) in wanted.items()
        ]
        return Seen(torch.cat([part.embeddings for part in parts]), torch.cat([part.classes for part in parts]))


def _measured(chosen: "Chosen") -> list[int]:
    """Classes with chosen images; if there are many, an evenly spaced subset."""
    filled = np.flatnonzero(chosen.distinct)
    if len(filled) > MOST_CLASSES:
        filled = filled[np.linspace(0, len(filled) - 1, MOST_CLASSES).round().astype(int)]
    return filled.tolist()


def _borrowed(chosen: "Chosen", labels: Sequence[int], each: int) -> dict[str, tuple[Array, Array]]:
    first = chosen.rows.copies == 0
    ids, sources, groups = (column[first] for column in (chosen.rows.ids, chosen.rows.sources, chosen.rows.groups))
    return _by_pool(chosen.sources, *_fewer(ids, sources, groups, labels, each, chosen.seed))


def _random(table: "ScoreTable", chosen: "Chosen", labels: Sequence[int], each: int) -> dict[str, tuple[Array, Array]]:
    """A random sample of all images of every class; one pass over the table in constant memory."""
    kept = tuple(np.zeros(0, dtype=np.int64) for _ in range(3))
    for batch in table.batches("id", "source", "group"):
        joined = (
            np.concatenate((column, batch[name])) for column, name in zip(kept, ("id", "source", "group"), strict=True)
        )
        kept = _fewer(*joined, labels, each, chosen.seed)
    return _by_pool(table.sources, *kept)


def _fewer(
    ids: Array, sources: Array, groups: Array, labels: Sequence[int], each: int, seed: int
) -> tuple[Array, Array, Array]:
    """At most `each` rows of every one of `labels`, drawn by seed, pool and id alone."""
    keys = _keys(ids, sources, seed)
    order = np.lexsort((keys, groups))
    order = order[np.isin(groups[order], labels)]
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    rank = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
    taken = order[rank < each]
    return ids[taken], sources[taken], groups[taken]


def _keys(ids: Array, sources: Array | int, seed: int) -> Array:
    streams = torch.as_tensor(sources, dtype=torch.int64)
    return uniform(words(derive_seed(seed, "evidence"), streams, torch.from_numpy(ids))).numpy()


def _by_pool(names: Sequence[str], ids: Array, sources: Array, groups: Array) -> dict[str, tuple[Array, Array]]:
    places: list[int] = np.unique(sources).tolist()
    return {names[place]: (ids[sources == place], groups[sources == place]) for place in places}


def _of_classes(real: "ImageSet", labels: Sequence[int], each: int, seed: int) -> "ImageSet":
    assert real.labels is not None
    ids = real.ids.numpy()
    kept, _, _ = _fewer(ids, np.zeros_like(ids), real.labels.numpy(), labels, each, seed)
    return real.subset(torch.from_numpy(kept)) if len(kept) else _some(real, each * len(labels), seed)


def _some(images: "ImageSet", most: int, seed: int) -> "ImageSet":
    if len(images) <= most:
        return images
    ids = images.ids.numpy()
    return images.subset(torch.from_numpy(ids[_keys(ids, 0, seed).argsort()[:most]]))


def _distance(one: Tensor, other: Tensor) -> float | None:
    return energy_coefficient(one, other) if min(len(one), len(other)) >= 2 else None


def _chance(found: Tensor, seed: int) -> float | None:
    return distance_of_halves(found, seed=seed).highest if len(found) >= 4 else None


def _note(classes: int, measured: int, *, own: bool) -> str:
    some = f" Of {classes:,} classes {measured} were looked at, evenly spread." if measured < classes else ""
    whose = "their labels" if own else "the classes that the teacher gives"
    return (
        "Energy distance of the teacher's embeddings as a share of its largest value, (2 E|X-Y| - E|X-X'| - E|Y-Y'|) "
        f"/ (2 E|X-Y|): 0 where both look alike to it, 1 where they are far apart; real images by {whose}. What chance "
        f"alone gives is the highest of {SPLITS} distances between random halves of the real ones.{some} The figures "
        "of all classes are of equally many images of each. No image was chosen by it."
    )
