"""Small classifiers that many tests of models share."""

import os
from pathlib import Path

import pytest
import torch
from torch import Tensor

from limbeck.models import Classifier, create


@pytest.fixture
def images() -> Tensor:
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def small() -> Classifier:
    return create("vgg8_w2", num_classes=4, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4), classes=("a", "b", "c", "d"))


@pytest.fixture
def weights_root() -> Path:
    root = os.environ.get("LIMBECK_WEIGHTS")
    if not root:
        pytest.skip("LIMBECK_WEIGHTS names no folder of published weights")
    return Path(root)
