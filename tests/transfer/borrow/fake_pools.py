"""Pools made in memory, of which some pictures are equal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

from limbeck.data.image_set import ImageSet
from limbeck.testing.images import natural


@dataclass(frozen=True)
class FakePool:
    name: str
    images: ImageSet
    excluded: Mapping[str, int] = field(default_factory=dict)
    unreadable: int = 0


PICTURES = natural(60, size=8).tensor()


def pool_of(name: str, pictures: Sequence[int], *, seed: int = 0, labelled: bool = True) -> FakePool:
    """A pool of some of sixty pictures, as often as they are named, with ids that are neither dense nor sorted."""
    ids = torch.randperm(3 * len(pictures), generator=torch.Generator().manual_seed(seed))[: len(pictures)]
    labels = torch.arange(len(pictures)) % 3 if labelled else None
    classes = ["ant", "bee", "cat"] if labelled else None
    images = ImageSet(PICTURES[torch.tensor(pictures)], labels, ids=ids, classes=classes, name=f"{name}/train")
    return FakePool(name, images)
