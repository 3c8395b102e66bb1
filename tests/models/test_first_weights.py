"""Initial weights of the CIFAR networks, as the benchmarks draw them (https://github.com/HobbitLong/RepDistiller)."""

import pytest
import torch
from torch import Tensor, nn

from limbeck.models import create

HE = ("resnet20", "resnet8x4", "resnet18", "ResNet50", "wrn_16_2", "vgg8", "vgg13", "vgg8_w16", "MobileNetV2")
AS_TORCH = ("ShuffleV1", "ShuffleV2")
OF_CROSS_ARCHITECTURE_TABLES = ("alexnet", "vgg11_instance", "resnet18_instance")


def network(name: str) -> nn.Module:
    return create(name, num_classes=100, seed=3).network


def head_of(name: str) -> nn.Linear:
    head = network(name).get_submodule("head")
    assert isinstance(head, nn.Linear)
    return head


def is_normal(weight: Tensor) -> bool:
    """Whether the values spread as normal ones do; uniform ones end at 1.73 standard deviations."""
    return bool(weight.abs().max() > 2.5 * weight.std())


@pytest.mark.parametrize("name", HE)
def test_convolutions_are_normal_with_variance_two_by_fan_out(name: str) -> None:
    for path, module in network(name).named_modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 2000:
            deviation = (2 / (module.kernel_size[0] * module.kernel_size[1] * module.out_channels)) ** 0.5
            assert module.weight.std().item() == pytest.approx(deviation, rel=0.1), path
            assert abs(module.weight.mean().item()) < 5 * deviation / module.weight.numel() ** 0.5, path
            assert is_normal(module.weight), path
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            assert (module.bias == 0).all(), path


@pytest.mark.parametrize("name", [*AS_TORCH, *OF_CROSS_ARCHITECTURE_TABLES])
def test_networks_that_start_as_torch_has_them(name: str) -> None:
    for path, module in network(name).named_modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 2000:
            bound = module.weight[0].numel() ** -0.5
            assert bound * 0.98 < module.weight.abs().max().item() < bound * 1.0001, path
    head = head_of(name).weight
    assert head.abs().max().item() < 1.0001 * head.shape[1] ** -0.5
    assert head.std().item() == pytest.approx((3 * head.shape[1]) ** -0.5, rel=0.05)


@pytest.mark.parametrize("name", [*HE, *AS_TORCH])
def test_norms_start_as_the_identity(name: str) -> None:
    norms = [module for module in network(name).modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert all((norm.weight == 1).all() and (norm.bias == 0).all() for norm in norms)


@pytest.mark.parametrize("name", ["vgg8", "vgg13", "vgg8_w16", "MobileNetV2"])
def test_small_heads(name: str) -> None:
    head = head_of(name)
    assert head.weight.std().item() == pytest.approx(0.01, rel=0.1)
    assert is_normal(head.weight)
    assert (head.bias == 0).all()


@pytest.mark.parametrize("name", ["resnet20", "resnet8x4", "resnet18", "ResNet50", "wrn_16_2", *AS_TORCH])
def test_other_heads_start_as_torch_does(name: str) -> None:
    head = head_of(name)
    bound = head.in_features**-0.5
    assert bound * 0.98 < head.weight.abs().max().item() <= bound
    assert not is_normal(head.weight)
    if name.startswith("wrn"):
        assert (head.bias == 0).all()
    else:
        assert torch.count_nonzero(head.bias) == len(head.bias)
