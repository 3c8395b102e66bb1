"""Views are made on the GPU from pixels that are there, and equal those of the CPU."""

from typing import Any

import pytest
import torch
from tests.gpu.conftest import CPU, no_waits
from torch import Tensor

from limbeck.data.image_set import ImageSet
from limbeck.data.views import augmentation
from limbeck.randomness import uniform, words
from limbeck.training.batches import BatchStream

pytestmark = pytest.mark.gpu

EXACT: list[Any] = ["none", "pad-crop", "pad-crop-flip", {"pad-crop-flip": {"padding": 2}}, "shuffled-patches"]
EXACT += ["mixup", ["pad-crop-flip", "cutmix"], {"mixup-or-cutmix": {"alpha": 0.4, "share": 0.7}}]
TO_A_GREY_LEVEL: list[Any] = ["resized-crop-flip", "colour-jitter", ["pad-crop-flip", "colour-jitter"]]


def images(channels: int = 3) -> ImageSet:
    pixels = torch.randint(0, 256, (50, channels, 16, 16), generator=torch.Generator().manual_seed(0))
    return ImageSet(pixels.to(torch.uint8), torch.arange(50) % 5)


def shown(device: torch.device, views: Any, channels: int = 3, per_image: int | None = None) -> list[Tensor]:
    augmented = augmentation(views, per_image=per_image)
    stream = BatchStream(images(channels), augmentation=augmented, batch_size=16, seed=3, device=device)
    batches = [stream[0]]  # the first batch copies constants to the device
    with no_waits(device):
        batches += [stream[step] for step in range(1, 6)]
    assert all(batch.images.device.type == device.type for batch in batches)
    stream.close()
    return [batch.images.cpu() for batch in batches]


def test_random_bits_are_those_of_the_cpu(device: torch.device) -> None:
    ids = torch.arange(-500, 500) * 2**40
    assert torch.equal(words(2**62 + 3, 5, ids.to(device)).cpu(), words(2**62 + 3, 5, ids))
    assert torch.equal(words(1, ids.to(device), ids.to(device)).cpu(), words(1, ids, ids))
    assert torch.equal(uniform(words(1, 0, ids.to(device))).cpu(), uniform(words(1, 0, ids)))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("views", EXACT, ids=str)
def test_crops_and_mixtures_are_those_of_the_cpu(device: torch.device, views: Any, channels: int) -> None:
    for on_device, on_cpu in zip(shown(device, views, channels), shown(CPU, views, channels), strict=True):
        assert torch.equal(on_device, on_cpu)


@pytest.mark.parametrize("per_image", [None, 3])
@pytest.mark.parametrize("views", TO_A_GREY_LEVEL, ids=str)
def test_what_is_computed_is_that_of_the_cpu_to_a_grey_level(
    device: torch.device, views: Any, per_image: int | None
) -> None:
    pairs = zip(shown(device, views, per_image=per_image), shown(CPU, views, per_image=per_image), strict=True)
    for on_device, on_cpu in pairs:
        difference = (on_device.int() - on_cpu.int()).abs()
        assert difference.max() <= 1
        assert difference.float().mean() < 0.01


def test_pixels_live_on_the_device(device: torch.device) -> None:
    stream = BatchStream(images(), augmentation=augmentation("pad-crop"), batch_size=16, seed=0, device=device)
    assert stream.pixels is not None
    assert stream.pixels.dtype == torch.uint8
    assert stream.pixels.device.type == device.type
