import pytest
import torch
from torch import Tensor

from limbeck.data.image_set import ImageSet


def image_set(labels: list[int] | Tensor | None, n: int, *, seed: int = 0, classes: int = 4) -> ImageSet:
    """Small gray images of few levels, so that equal scores occur; ids are neither dense nor sorted."""
    source = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 4, (n, 1, 2, 3), generator=source, dtype=torch.uint8)
    ids = torch.randperm(3 * n, generator=source)[:n]
    names = tuple(f"class {index}" for index in range(classes))
    return ImageSet(pixels, labels, ids=ids, classes=names if labels is not None else None, name="toy")


def reordered(images: ImageSet, seed: int) -> ImageSet:
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    return images.subset(images.ids[order])


@pytest.fixture
def toy() -> ImageSet:
    return image_set(torch.arange(40) % 4, 40)
