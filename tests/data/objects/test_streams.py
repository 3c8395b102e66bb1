"""Streams, of which only the first images are read."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import datasets
import pytest
import torch
from PIL import Image
from tests.data.objects.conftest import LABELS
from torch import Tensor
from torch.utils.data import IterableDataset

import limbeck as lb
from limbeck.errors import UserError


class Endless(IterableDataset[Any]):
    """Repeats its pairs without end."""

    def __init__(self, images: list[Any], labels: list[Any] | None = None, fails_at: int | None = None) -> None:
        self.images, self.labels, self.fails_at = images, labels, fails_at

    def __iter__(self) -> Iterator[Any]:
        for row in count():
            if row == self.fails_at:
                raise OSError("the line is cut")
            image = self.images[row % len(self.images)]
            yield image if self.labels is None else (image, self.labels[row % len(self.labels)])


def test_streams_of_datasets(pictures: list[Image.Image], images: Tensor) -> None:
    names = datasets.ClassLabel(names=["ant", "bee", "cat", "dog"])
    features = datasets.Features({"image": datasets.Image(), "label": names})
    stream = datasets.Dataset.from_dict({"image": pictures, "label": LABELS}, features=features).to_iterable_dataset()
    loaded = lb.load(stream, images=5)
    assert torch.equal(loaded.tensor(), images[:5])
    assert loaded.classes == ("ant", "bee", "cat", "dog")
    assert lb.load(stream, images=50, size=4, channels=1).tensor().shape == (12, 1, 4, 4)
    assert lb.load(datasets.IterableDatasetDict({"train": stream}), images=3).name == "dataset/train"
    mapped = stream.map(lambda row: {"image": row["image"].rotate(180), "label": row["label"]})
    assert torch.equal(lb.load(mapped, images=2).tensor(), images[:2].flip(2, 3))
    with pytest.raises(UserError, match=r"the stream 'dataset' holds no images"):
        lb.load(stream.filter(lambda row: row["label"] == 7), images=3)


def test_streams_of_torch(pictures: list[Image.Image], images: Tensor) -> None:
    loaded = lb.load(Endless(pictures, LABELS), images=14)
    assert torch.equal(loaded.tensor(), torch.cat([images, images[:2]]))
    assert loaded.classes == ("0", "1", "2")
    assert lb.load(Endless([(images[0] / 255).half()]), images=2, size=3, channels=3).shape == (3, 3, 3)
    assert lb.load(Endless(pictures, ["a", "b"]), images=2).classes == ("a", "b")
    assert lb.load(Endless(pictures, [0, 5]), images=2).num_classes == 6  # labels in between may still come


def test_broken_images_of_streams(pictures: list[Image.Image]) -> None:
    stream = Endless([pictures[0], b"none", pictures[1]])
    loaded = lb.load(stream, images=6, size=4, channels=3, skip_unreadable=True)
    assert (loaded.ids.tolist(), loaded.skipped) == ([0, 2, 3, 5], 2)
    with pytest.raises(UserError, match=r"row 1 of the Endless cannot be read as an image"):
        lb.load(stream, images=6, size=4, channels=3)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, r"the Endless has no length; say how many of its images to read, as `lb\.load\(stream, images=10_000\)`"),
        ({"images": 0}, r"`images` must be a whole number, at least 1, got 0"),
        ({"images": 9}, r"the Endless broke off after 3 images: OSError: the line is cut"),
    ],
)
def test_what_streams_need(pictures: list[Image.Image], options: dict[str, Any], why: str) -> None:
    with pytest.raises(UserError, match=why):
        lb.load(Endless(pictures, fails_at=3), **options)
