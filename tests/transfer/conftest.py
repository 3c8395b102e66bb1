import pyarrow as pa
import pytest
import torch
from torch import Tensor

from limbeck.data.image_set import ImageSet
from limbeck.models import Classifier, create
from limbeck.testing.images import natural, reordered
from limbeck.transfer.choice import allocate
from limbeck.transfer.part_entries import function_of
from limbeck.transfer.parts import REPRESENTATIONS, SCORES
from limbeck.transfer.score_table.read import ScoreTable
from limbeck.transfer.select import CRITERIA, Criterion

__all__ = ["OF_PIXELS", "PLAIN", "image_set", "natural", "ranked", "reordered"]

PLAIN = [
    name
    for name, criterion in CRITERIA.items()
    if not criterion.needs_teacher
    and not SCORES[criterion.score].trains
    and criterion.representation != "autoencoder-codes"
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


@pytest.fixture
def toy() -> ImageSet:
    return image_set(torch.arange(40) % 4, 40)


@pytest.fixture(scope="session")
def teacher() -> Classifier:
    """An untrained teacher for four classes and images of any size."""
    return create("resnet8", num_classes=4, channels=1, seed=1, input_size=8)
