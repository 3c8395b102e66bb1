"""Borrowed images for the report: some of every class, and those that the teacher is least sure of."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from limbeck.transfer.borrow.considered import Array, Considered
from limbeck.transfer.evidence import Pictures
from limbeck.transfer.words import image_count

if TYPE_CHECKING:
    from limbeck.data import ImageSet
    from limbeck.transfer.borrow.pools import Pool

MOST_CLASSES = 12
EACH = 6


def samples(
    found: Considered, sources: Sequence[str], pools: Sequence["Pool"], classes: Sequence[str]
) -> list[Pictures]:
    """Up to two groups of pictures per class; if there are too many classes, for an evenly spaced subset.

    Args:
        found: the chosen rows, with the teacher's confidence.
        sources: names of the pools, by index.
        pools: with the images.
        classes: names of the teacher's classes.
    """
    by_name = {pool.name: pool.images for pool in pools}
    images = [by_name[name] for name in sources]
    groups = []
    for label in _shown(found.rows["group"]):
        own = np.flatnonzero(found.rows["group"] == label)
        confidence = found.rows["confidence"][own]
        own = own[np.argsort(-confidence, kind="stable")]
        name, count = classes[label], image_count(len(own))
        if len(own) <= 2 * EACH:
            groups.append(_pictures(f"{name}, all of {count}, surest first", own, found, images, sources))
            continue
        spread = np.linspace(0, len(own) - EACH - 1, EACH).round().astype(int)
        groups.append(_pictures(f"{name}, some of {count}, surest first", own[spread], found, images, sources))
        groups.append(_pictures(f"{name}, the least sure", own[-EACH:][::-1], found, images, sources))
    return groups


def _shown(groups: Array) -> list[int]:
    filled = np.unique(groups)
    if len(filled) > MOST_CLASSES:
        filled = filled[np.linspace(0, len(filled) - 1, MOST_CLASSES).round().astype(int)]
    return filled.tolist()


def _pictures(
    title: str, rows: Array, found: Considered, images: Sequence["ImageSet"], sources: Sequence[str]
) -> Pictures:
    ids, native = (found.rows[key][rows] for key in ("id", "native"))
    places: list[int] = found.rows["source"][rows].tolist()
    shown = [
        images[place].gather(images[place].positions(torch.tensor([image_id])))
        for place, image_id in zip(places, ids.tolist(), strict=True)
    ]
    captions = [
        f"{images[place].classes[label]}, {sources[place]}" if label >= 0 else sources[place]
        for place, label in zip(places, native.tolist(), strict=True)
    ]
    confidence = found.rows["confidence"][rows]
    return Pictures(
        title=title,
        images=torch.cat(shown),
        ids=torch.from_numpy(ids),
        labels=torch.from_numpy(found.rows["group"][rows]),
        scores=torch.from_numpy(confidence).float() if np.isfinite(confidence).all() else None,
        captions=captions,
    )
