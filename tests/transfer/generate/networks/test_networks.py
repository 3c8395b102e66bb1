"""Networks that make images: those of the papers, sizes of any kind, seeds, labels."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from limbeck.errors import UserError
from limbeck.transfer.generate.generator_settings import Generator
from limbeck.transfer.generate.networks import ImageNetwork, averaged, build_network, draw_latents
from limbeck.transfer.generate.networks.layout import light, published

Shape = tuple[int, int, int]


def made(*, shape: Shape = (3, 32, 32), num_classes: int = 10, seed: int = 0, **settings: Any) -> ImageNetwork:
    return build_network(Generator(**{"width": 8, **settings}), shape=shape, num_classes=num_classes, seed=seed)


def images(network: ImageNetwork, count: int | Tensor = 4, *, seed: int = 0, call: int = 1) -> Tensor:
    labels = None if isinstance(count, int) else count
    return network(draw_latents(network, count, seed=seed, call=call), labels)


def work(network: ImageNetwork) -> int:
    """Multiply-adds of an image."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        images(network, 1)
    return counter.get_total_flops() // 2


@pytest.mark.parametrize(
    ("network", "side", "parameters", "multiply_adds"),
    [
        ("published", 32, 2_328_899, 117_112_832),
        ("light", 32, 2_186_380, 22_740_992),
        ("light", 64, 2_334_092, 122_421_248),
        ("light", 160, 1_235_852, 472_678_400),
        ("light", 224, 2_025_356, 926_449_664),
        ("large", 224, 592_451, 2_803_433_472),
    ],
)
def test_sizes_are_those_of_the_papers_and_of_the_documentation(
    network: str, side: int, parameters: int, multiply_adds: int
) -> None:
    generator = made(network=network, shape=(3, side, side), width=64)
    assert sum(parameter.numel() for parameter in generator.parameters()) == parameters
    assert work(generator) == multiply_adds


def test_the_published_network_is_its_formula() -> None:
    """Linear, batch norm, and two doublings by nearest neighbours with convolutions: written out once more."""
    network = made(width=4, latents=6).double()
    body: Any = network.body
    z = torch.randn(5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def normed(x: Tensor, bn: Any) -> Tensor:
        x = (x - x.mean((0, 2, 3), keepdim=True)) / (x.var((0, 2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
        return x * bn.weight.view(1, -1, 1, 1) + bn.bias.view(1, -1, 1, 1)

    x = normed((z @ body.first.linear.weight.T + body.first.linear.bias).view(5, 8, 8, 8), body.first.bn)
    for stage, channels in zip(body.doublings, (8, 4), strict=True):
        x = F.conv2d(x.repeat_interleave(2, 2).repeat_interleave(2, 3), stage.conv.weight, padding=1)
        assert x.shape[1] == channels
        x = normed(x, stage.bn)
        x = torch.where(x > 0, x, 0.2 * x)
    expected = torch.sigmoid(F.conv2d(x, body.last.weight, body.last.bias, padding=1).float())
    torch.testing.assert_close(network(z), expected)


def test_latents_of_the_large_network_are_maps() -> None:
    network = made(network="large", shape=(3, 64, 64), latents=5)
    assert draw_latents(network, 3, seed=0, call=1).shape == (3, 5, 4, 4)
    conditional = made(network="large", shape=(3, 64, 64), latents=5, conditional=True)
    assert images(conditional, torch.tensor([1, 2])).shape == (2, 3, 64, 64)


SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 64), (3, 30, 45), (1, 7, 100), (3, 1, 1), (4, 17, 12)]


@pytest.mark.parametrize("network", ["published", "light", "large", "none"])
@pytest.mark.parametrize("shape", SHAPES)
def test_images_of_any_size_and_colour(network: str, shape: Shape) -> None:
    pictures = images(made(network=network, shape=shape, latents=9), 2)
    assert pictures.shape == (2, *shape)
    assert pictures.dtype == torch.float32
    assert 0 <= pictures.min() <= pictures.max() <= 1


@pytest.mark.parametrize("side", [9, 15, 31, 33, 64, 65, 224, 299])
def test_larger_images_start_from_5_to_8_pixels(side: int) -> None:
    """So the linear layer stays small at any size."""
    for layout in (published((side, side), 8), light((side, side), 8), published((3, side), 8)):
        assert 5 <= max(layout.sizes[0]) <= 8
        assert layout.channels[0] == 16


@pytest.mark.parametrize("settings", [{}, {"network": "light"}, {"network": "large"}, {"noisy": True}])
def test_one_seed_is_one_network_and_nobody_elses_numbers_change(settings: dict[str, Any]) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, repeated, other = (made(seed=seed, **settings).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(first[key], repeated[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


def test_latents_are_of_seed_call_and_purpose_alone() -> None:
    network = made(latents=5)
    first = draw_latents(network, 3, seed=0, call=1)
    assert torch.equal(first, draw_latents(network, torch.tensor([2, 2, 0]), seed=0, call=1))
    others = [draw_latents(network, 3, *purpose, seed=seed, call=call) for purpose, seed, call in _OTHERS]
    assert all(not torch.equal(first, latents) for latents in others)


_OTHERS: list[tuple[tuple[str | int, ...], int, int]] = [((), 1, 1), ((), 0, 2), (("fresh", 1), 0, 1)]


@pytest.mark.parametrize("settings", [{"conditional": True}, {"conditional": True, "network": "large"}])
def test_a_conditional_network_goes_by_label(settings: dict[str, Any]) -> None:
    network = made(num_classes=3, **settings)
    z = draw_latents(network, 2, seed=0, call=1)
    assert not torch.equal(network(z, torch.tensor([0, 1])), network(z, torch.tensor([0, 2])))
    with pytest.raises(UserError, match="`labels` must be given to a network that makes images by their labels"):
        network(z)


def test_channels_last_inside() -> None:
    network = made()
    assert network.body.get_submodule("last").weight.is_contiguous(memory_format=torch.channels_last)  # pyright: ignore
    assert images(network).is_contiguous(memory_format=torch.channels_last)


def test_bfloat16_leaves_images_their_grey_levels() -> None:
    network = made()
    with torch.autocast("cpu", torch.bfloat16):
        pictures = images(network)
    assert pictures.dtype == torch.float32
    torch.testing.assert_close(pictures, images(network), atol=0.05, rtol=0)


def test_the_average_follows_at_its_decay() -> None:
    network = made()
    average = averaged(network, 0.9)
    before = network.body.get_parameter("last.weight").clone()
    average.update_parameters(network)
    with torch.no_grad():
        network.body.get_parameter("last.weight").add_(1)
    average.update_parameters(network)
    torch.testing.assert_close(average.module.get_parameter("body.last.weight"), before + 0.1)
    assert not any(parameter.requires_grad for parameter in average.parameters())
    again = averaged(made(seed=3), 0.9)
    again.load_state_dict(average.state_dict())
    z = draw_latents(network, 2, seed=0, call=1)
    assert torch.equal(again(z), average(z))
