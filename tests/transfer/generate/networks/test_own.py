"""Generators that users write themselves."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from limbeck.errors import UserError
from limbeck.models import create
from limbeck.models.forward import resolve_computing
from limbeck.plugins import register, unregister
from limbeck.testing import check_generator
from limbeck.transfer.generate.generator_settings import Generator
from limbeck.transfer.generate.networks import ImageNetwork, build_network, draw_latents, renew, renew_first
from limbeck.transfer.generate.settings import GenerateSettings
from limbeck.transfer.generate.synthesis.origin import Origin


def squares(latents: int, channels: int, size: tuple[int, int], *, side: int = 4) -> nn.Module:
    """Squares of one colour."""
    height, width = (-(-length // side) for length in size)
    layers = (nn.Linear(latents, channels * height * width), nn.Unflatten(1, (channels, height, width)))
    return nn.Sequential(*layers, nn.Upsample(size), nn.Sigmoid())


class OfMaps(nn.Module):
    """Latents are maps, and a class has a colour of its own, for images of 32 pixels."""

    def __init__(self, latents: int, num_classes: int, width: int) -> None:
        super().__init__()
        self.latent_shape = (latents, 8, 8)
        self.colours = nn.Embedding(num_classes, width)
        self.first = nn.Conv2d(latents, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.last = nn.ConvTranspose2d(width, 3, 4, 4)

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        features = self.norm(self.first(latents)) + self.colours(labels)[:, :, None, None]
        return self.last(features.relu()).sigmoid()


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    register("generators", "squares", squares)
    register("generators", "of-maps", OfMaps)
    yield
    for name in ("squares", "of-maps"):
        unregister("generators", name)


def made(name: str, *, shape: tuple[int, int, int] = (3, 32, 32), **settings: Any) -> ImageNetwork:
    generator = Generator(**{"network": name, "latents": 6, "width": 4, **settings})
    return build_network(generator, shape=shape, num_classes=3, seed=0)


@pytest.mark.parametrize(("name", "options"), [("squares", {"side": 8}), ("of-maps", {})])
def test_they_pass_the_checks(name: str, options: dict[str, Any]) -> None:
    check_generator(name, options)


def test_they_take_what_they_name() -> None:
    network = made("squares", shape=(1, 30, 45), options={"side": 16}, conditional=True)
    assert network.get_parameter("body.0.weight").shape == (2 * 3, 6 + 3), "latents and a code of the label"
    assert draw_latents(network, 2, seed=0, call=1).shape == (2, 6)
    assert draw_latents(made("of-maps"), 2, seed=0, call=1).shape == (2, 6, 8, 8)


def test_they_start_afresh_as_their_authors_make_them() -> None:
    network = made("squares")
    before = network.get_parameter("body.0.weight").clone()
    renew(network, seed=0, call=3)
    after = network.get_parameter("body.0.weight")
    assert not torch.equal(before, after)
    assert float(after.abs().max().detach()) <= 6**-0.5, "torch's own first weights of a linear layer"
    renew_first(made("of-maps"), seed=0, call=3)
    with pytest.raises(UserError, match=r"`generator.renew_once` is about the first linear layer or convolution and"):
        renew_first(network, seed=0, call=3)


@pytest.mark.parametrize("method", ["fast-meta", "bsr"])
def test_what_cannot_be_renewed_as_published_is_not_and_is_refused_where_it_is_said(method: str) -> None:
    def origin(**generator: Any) -> Origin:
        values = {"network": "squares", "latents": 6, **generator}
        settings = GenerateSettings(budget=64, batch_size=16, method=method, generator=values).settled(3)
        teacher = create("resnet8", num_classes=3, input_size=32)
        computing = resolve_computing("cpu", "fp32")
        return Origin(settings, teacher, shape=(3, 32, 32), num_classes=3, seed=0, computing=computing)

    assert origin().renewal.renew_once is None
    assert origin(network="of-maps", width=4).renewal.renew_once == 121
    with pytest.raises(UserError, match=r"`generator.renew_once` 5 is about .* 'squares' lacks one of them; set"):
        origin(renew_once=5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sied": 3}, "unknown generator option 'sied'; did you mean 'side'"),
        ({"side": 2.5}, "`side` of generator 'squares' must be a whole number, got 2.5"),
    ],
)
def test_options_are_checked_with_the_recipe(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Generator(network="squares", options=options)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (lambda latents: None, "generator 'wrong' must be a module, got NoneType"),
        (lambda latents: nn.Linear(latents, 3), r"must make images \[2, 3, 32, 32\] of two latents here, got \[2, 3\]"),
        (lambda latents: nn.Linear(7, 3), r"fails on its first images, of latents \[2, 6\] \(RuntimeError"),
        (
            lambda latents: nn.Sequential(nn.Linear(latents, 3072), nn.Unflatten(1, (3, 32, 32))),
            r"must make images in \[0, 1\], got values from -.*; end it in a sigmoid",
        ),
    ],
)
def test_what_makes_no_images_is_refused(part: Any, message: str) -> None:
    register("generators", "wrong", part)
    try:
        with pytest.raises(UserError, match=message):
            made("wrong")
    finally:
        unregister("generators", "wrong")


def test_maps_are_not_made_by_a_noisy_layer() -> None:
    with pytest.raises(UserError, match=r"`noisy` makes one row of latents an image, and those of generator 'of-maps'"):
        made("of-maps", noisy=True)
