"""Networks of cross-architecture tables: images of any size, each independent of the rest, no state but parameters."""

import pytest
import torch
from torch.nn import functional as F

from limbeck.models import create
from limbeck.models.layers import InstanceNorm

NAMES = ("alexnet", "vgg11_instance", "resnet18_instance")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(1, 1), (8, 8), (17, 33), (96, 128)])
def test_images_of_any_size_shape_every_layer(name: str, size: tuple[int, int]) -> None:
    classifier = create(name, num_classes=10).train()
    images = torch.rand(1, 3, *size)
    F.cross_entropy(classifier(images).logits, torch.tensor([3])).backward()
    first = next(classifier.parameters()).grad
    assert first is not None
    assert first.isfinite().all()
    assert first.abs().max() > 0, "a norm of one pixel would give the same whatever comes in"


@pytest.mark.parametrize("name", NAMES)
def test_parameters_say_all_and_images_do_not_meet(name: str) -> None:
    classifier = create(name, num_classes=10)
    assert not list(classifier.network.buffers())
    images = torch.rand(3, 3, 16, 16)
    together = classifier.train()(images).logits
    alone = torch.cat([classifier.eval()(image[None]).logits for image in images])
    assert torch.allclose(together, alone, atol=1e-5)


def test_the_head_of_alexnet_takes_the_last_map_of_32_pixels_whole() -> None:
    classifier = create("alexnet", num_classes=10)
    outputs = classifier(torch.rand(1, 3, 32, 32), want=("embedding", "stages"))
    assert outputs.embedding is not None
    assert torch.equal(outputs.embedding, F.max_pool2d(outputs.stages[-1], 2).flatten(1))


def test_alexnet_has_no_norm_unless_asked_for() -> None:
    published, normed = create("alexnet", num_classes=10), create("alexnet", num_classes=10, norm="instance")
    assert not any(isinstance(module, InstanceNorm) for module in published.modules())
    assert len(list(published.parameters())) == 12
    assert sum(isinstance(module, InstanceNorm) for module in normed.modules()) == 5


def test_a_map_of_two_pixels_is_normed_and_one_of_a_single_pixel_is_not() -> None:
    norm = InstanceNorm(1)
    with torch.no_grad():
        norm.weight.fill_(2.0)
        norm.bias.fill_(0.5)
        assert torch.allclose(norm(torch.tensor([[[[1.0, 3.0]]]])), torch.tensor([[[[-1.5, 2.5]]]]), atol=1e-4)
        assert norm(torch.tensor([[[[3.0]]]])).item() == 6.5
