"""Pools made in memory, of which some pictures are equal."""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from limbeck.data.image_set import ImageSet
from limbeck.testing.images import natural
from limbeck.transfer.borrow.pools import Pool
from limbeck.transfer.borrow.settings import PoolSettings

PICTURES = natural(60, size=8).tensor()


def pool_of(name: str, pictures: Sequence[int], *, seed: int = 0, labelled: bool = True) -> Pool:
    """A pool of some of sixty pictures, as often as they are named, with ids that are neither dense nor sorted."""
    ids = torch.randperm(3 * len(pictures), generator=torch.Generator().manual_seed(seed))[: len(pictures)]
    labels = torch.arange(len(pictures)) % 3 if labelled else None
    classes = ["ant", "bee", "cat"] if labelled else None
    images = ImageSet(PICTURES[torch.tensor(pictures)], labels, ids=ids, classes=classes, name=f"{name}/train")
    return as_pool(name, images)


def as_pool(name: str, images: ImageSet) -> Pool:
    return Pool(name, PoolSettings(name=name), images)


def write_pngs(folder: Path, pictures: Tensor, *, first: int = 0) -> None:
    """Files 00.png, 01.png ... of gray pictures, uint8 `[N, 1, H, W]`."""
    folder.mkdir(exist_ok=True)
    for number, picture in enumerate(pictures, first):
        Image.fromarray(picture[0].numpy()).save(folder / f"{number:02d}.png", compress_level=0)
