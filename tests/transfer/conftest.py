import pyarrow as pa
import pytest
import torch
from torch import Tensor

from limbeck.data.image_set import ImageSet
from limbeck.models import Classifier, create
from limbeck.transfer.choice import allocate
from limbeck.transfer.parts import REPRESENTATIONS, SCORES, function_of
from limbeck.transfer.score_table.read import ScoreTable
from limbeck.transfer.select import CRITERIA, Criterion

PLAIN = [
    name
    for name, one in CRITERIA.items()
    if not one.needs_teacher and not SCORES[one.score].trains and one.representation != "autoencoder-codes"
]
"""Criteria that need no network."""


OF_PIXELS = {name: function_of(entry.function) for name, entry in REPRESENTATIONS.items() if entry.reads == "pixels"}
"""Representations that need nothing but the pixels, as functions of them."""


def ranked(scores: Tensor, ids: Tensor, order: str = "highest") -> list[int]:
    """Ids in the order in which a criterion prefers them."""
    criterion = Criterion(score="variance", allocation="top-n", order=order)
    table = pa.table({"id": ids.numpy(), criterion.column: scores.double().numpy()})
    return allocate(ScoreTable(table), criterion, len(ids)).ids.tolist()


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


@pytest.fixture(scope="session")
def teacher() -> Classifier:
    """For four classes and images of any size; untrained, but that is its own affair."""
    return create("resnet8", num_classes=4, channels=1, seed=1, input_size=8)


def natural(n: int, *, size: int = 16, classes: int = 4, seed: int = 0, channels: int = 1) -> ImageSet:
    """Labelled images with some structure: blotches of few levels, no two alike."""
    source = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, channels, 4, 4, generator=source)
    fine = torch.nn.functional.interpolate(coarse, size, mode="bilinear") + 0.1 * torch.rand(
        n, channels, size, size, generator=source
    )
    labels = torch.randint(0, classes, (n,), generator=source)
    labels[:classes] = torch.arange(classes)
    pixels = (fine / 1.1 * 255).to(torch.uint8)
    return ImageSet(pixels, labels, ids=torch.randperm(2 * n, generator=source)[:n], name="blotches")
