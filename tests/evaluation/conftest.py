import pytest
import torch
from torch import nn

from limbeck.data.image_set import ImageSet
from limbeck.models.classifier import Classifier


def tiny_network(classes: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes)
    )


@pytest.fixture
def make_classifier():
    def make(classes: int = 6, seed: int = 0) -> Classifier:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return Classifier(tiny_network(classes), num_classes=classes, classes=tuple("abcdefg"[:classes]))

    return make


@pytest.fixture
def images() -> ImageSet:
    source = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (30, 3, 8, 8), generator=source, dtype=torch.uint8)
    return ImageSet(pixels, torch.arange(30) % 6, ids=torch.arange(30) * 3 + 5, classes=tuple("abcdef"), name="tiny")
