"""Twelve small images, in the forms that Python libraries have for them."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

LABELS = [0, 1, 2] * 4


@pytest.fixture
def images(pixels: np.ndarray) -> Tensor:
    """uint8 [12, 3, 6, 5]."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()


@pytest.fixture
def pictures(pixels: np.ndarray) -> list[Image.Image]:
    return [Image.fromarray(image) for image in pixels]
