"""Class activation maps: their formulas, and that nothing else is touched."""

import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from limbeck.errors import UserError
from limbeck.models import Classifier, create
from limbeck.models.taps import Taps
from limbeck.transfer.condense.mask import maps
from limbeck.transfer.condense.mask.activation import KINDS, Kind, _Noise, layer_of

SIZE = 6


def network() -> Classifier:
    """A network with a map of 6 x 6, and a mean over it."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    module = nn.Sequential(*layers, nn.Linear(5, 4)).eval()
    return Classifier(module, num_classes=4, taps=Taps("5", ("2",)))


INPUTS = torch.randn(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
CLASSES = torch.tensor([0, 3, 1])


def map_and_gradient(classifier: Classifier, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """The map of the ReLU and its gradient, by plain autograd."""
    seen = classifier.network[:3](inputs)  # pyright: ignore[reportIndexIssue]
    logits = classifier.network[3:](seen)  # pyright: ignore[reportIndexIssue]
    (gradient,) = torch.autograd.grad(logits.gather(1, CLASSES[:, None]).sum(), seen)
    return seen.detach(), gradient


def scaled(weights: Tensor, seen: Tensor) -> Tensor:
    cams = functional.relu((weights[..., None, None] * seen).sum(1))
    cams = cams - cams.amin((1, 2), keepdim=True)
    return cams / (cams.amax((1, 2), keepdim=True) + 1e-8)


def by_hand(classifier: Classifier, kind: str, seed: int) -> Tensor:
    seen, gradient = map_and_gradient(classifier, INPUTS)
    if kind == "grad-cam":
        return scaled(gradient.mean((2, 3)), seen)
    if kind == "grad-cam++":
        total = seen.sum((2, 3), keepdim=True)
        alpha = gradient**2 / (2 * gradient**2 + total * gradient**3 + 1e-8)
        return scaled((alpha * gradient.relu()).sum((2, 3)), seen)
    noise = _Noise(seed, 0.3)
    noise.rows = [0, 1, 2]
    copies = [map_and_gradient(classifier, INPUTS + noise.sample(INPUTS.shape)) for _ in range(4)]
    second = sum(gradient**2 for _, gradient in copies) / 4
    third = sum(gradient**3 for _, gradient in copies) / 4
    alpha = second / (2 * second + (third * seen).sum((2, 3), keepdim=True) + 1e-8)
    last_seen, last_gradient = copies[-1]
    return scaled((alpha * last_gradient.relu()).sum((2, 3)), last_seen)


@pytest.mark.parametrize("kind", KINDS)
def test_maps_are_those_of_their_formulas(kind: Kind) -> None:
    """The gradient of a mean is the same at every pixel, and then torchcam's denominator is the paper's."""
    classifier = network()
    cams = maps(classifier, None, INPUTS, CLASSES, kind, seed=5)
    assert cams.amax() > 0.9
    torch.testing.assert_close(cams, by_hand(classifier, kind, 5), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("around", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_the_network_and_torchs_generators_stay_as_they_were(kind: Kind, around: Callable) -> None:
    classifier = network()
    classifier.network.train()
    classifier.network.get_submodule("1").eval().requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in classifier.network.state_dict().items()}
    modes, generator = [module.training for module in classifier.modules()], torch.get_rng_state()
    with around():
        inputs = INPUTS.clone()
        first = maps(classifier, "2", inputs, CLASSES, kind, seed=5)
    assert torch.equal(first, maps(classifier, None, INPUTS, CLASSES, kind, seed=5))
    assert torch.equal(torch.get_rng_state(), generator)
    assert [module.training for module in classifier.modules()] == modes
    assert all(torch.equal(before[name], tensor) for name, tensor in classifier.network.state_dict().items())
    assert all(parameter.grad is None for parameter in classifier.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in classifier.modules())
    assert not first.requires_grad
    assert not inputs.requires_grad


def test_noise_hangs_on_seed_and_row_and_not_on_the_batch() -> None:
    classifier = network()
    whole = maps(classifier, None, INPUTS, CLASSES, seed=5)
    for batch_size in (1, 2):
        torch.testing.assert_close(maps(classifier, None, INPUTS, CLASSES, seed=5, batch_size=batch_size), whole)
    last = maps(classifier, None, INPUTS[2:], CLASSES[2:], seed=5, first=2)
    torch.testing.assert_close(last, whole[2:])
    assert not torch.allclose(maps(classifier, None, INPUTS, CLASSES, seed=6), whole)
    assert not torch.allclose(maps(classifier, None, INPUTS[2:], CLASSES[2:], seed=5), whole[2:])


def test_a_map_goes_with_its_class_and_is_brought_to_the_images_size() -> None:
    classifier = create("convnet_d3", num_classes=4, input_size=16, width=8, seed=0)
    inputs = torch.randn(1, 3, 16, 16)
    first, second = (maps(classifier, None, inputs, torch.tensor([k]), "grad-cam") for k in (0, 1))
    assert first.shape == (1, 16, 16)
    assert not torch.allclose(first, second)
    small = maps(classifier, "layers.2.2", inputs, torch.tensor([0]), "grad-cam", size=(4, 4))
    torch.testing.assert_close(functional.interpolate(small[None], (16, 16), mode="bilinear")[0], first)


class Tokens(nn.Module):
    """A class token and 2 x 3 other tokens, which it reads in the second block alone."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.first, self.last = nn.Linear(12, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.head = nn.Linear(8, 4)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.embed(images.unflatten(2, (2, 2)).unflatten(4, (3, 2)).permute(0, 2, 4, 1, 3, 5).flatten(3))
        tokens = torch.cat([tokens.new_zeros(len(images), 1, 8), tokens.flatten(1, 2)], 1)
        tokens = self.first(tokens).relu()
        tokens = self.last(tokens + tokens.mean(1, keepdim=True))
        return self.head(tokens[:, 0])


def test_tokens_are_laid_out_and_the_last_ones_are_passed_over_where_a_class_token_answers() -> None:
    torch.manual_seed(0)
    taps = Taps("head", ("first", "last"), layout="tokens", prefix_tokens=1, grid=(2, 3))
    classifier = Classifier(Tokens(), num_classes=4, taps=taps)
    assert layer_of(classifier) == "first"
    cams = maps(classifier, None, torch.randn(2, 3, 4, 6), torch.tensor([0, 1]), "grad-cam", size=(2, 3))
    assert cams.shape == (2, 2, 3)
    assert not maps(classifier, "last", torch.randn(2, 3, 4, 6), torch.tensor([0, 1])).any()


class Odd(nn.Module):
    """A module that does not run, one with several outputs, and one on which the logits do not depend."""

    def __init__(self) -> None:
        super().__init__()
        self.idle, self.beside, self.pair, self.head = nn.Conv2d(3, 2, 1), nn.Conv2d(3, 2, 1), Pair(), nn.Linear(3, 4)

    def forward(self, images: Tensor) -> Tensor:
        self.beside(images)
        return self.head(self.pair(images)[0])


class Pair(nn.Module):
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return images.mean((2, 3)), images


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (None, "`layer` must name the module of Odd whose map is read, since no tap says where its stages are"),
        ("besides", "unknown module path 'besides'; did you mean 'beside'"),
        ("idle", "`layer` 'idle' of Odd did not run in the forward pass"),
        ("pair", "`layer` 'pair' of Odd must put out one tensor, got tuple; name another module"),
        ("head", r"`layer` 'head' of Odd must put out a map \[B, C, h, w\], got shape \[1, 4\]"),
        ("beside", "logits of Odd do not hang on the output of `layer` 'beside'; name another"),
    ],
)
def test_a_layer_that_has_no_map_is_named(layer: str | None, message: str) -> None:
    classifier = Classifier(Odd(), num_classes=4)
    for kind in KINDS:
        with pytest.raises(UserError, match=message):
            maps(classifier, layer, torch.rand(1, 3, 4, 4), torch.tensor([0]), kind)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in classifier.modules())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "cam"}, "`kind` must be 'smooth-grad-cam[+][+]', 'grad-cam[+][+]' or 'grad-cam', got 'cam'"),
        ({"inputs": torch.zeros(3, 3, 6, 6, dtype=torch.uint8)}, "`inputs` must be floating .* got torch.uint8"),
        ({"inputs": INPUTS[0]}, r"`inputs` must be floating \[N, C, H, W\].* \[3, 6, 6\]; `Classifier.prepare`"),
        ({"classes": torch.tensor([0, 1])}, r"`classes` must be int64 \[3\], got torch.int64 \[2\]"),
        ({"classes": torch.tensor([0.0, 1, 2])}, r"`classes` must be int64 \[3\], got torch.float32 \[3\]"),
        ({"classes": torch.tensor([0, 1, 4])}, r"`classes` must lie in 0..3, those of Sequential, got 0..4"),
        ({"seed": 0.5}, "`seed` must be a whole number, got 0.5"),
        ({"batch_size": 0}, "`batch_size` must be >= 1, got 0"),
    ],
)
def test_what_is_out_of_range_is_said(changes: dict, message: str) -> None:
    arguments = {"classifier": network(), "layer": None, "inputs": INPUTS, "classes": CLASSES, **changes}
    with pytest.raises(UserError, match=message):
        maps(**arguments)


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_that_are_not_finite_are_no_map_of_nothing(kind: Kind) -> None:
    classifier = network()
    nn.init.constant_(classifier.network.get_parameter("5.weight"), torch.nan)
    with pytest.raises(UserError, match="logits of Sequential must be finite to have activation maps"):
        maps(classifier, None, INPUTS, CLASSES, kind)


def test_without_torchcam_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchcam.methods", None)
    with pytest.raises(UserError, match=r"activation maps need torchcam .*`pip install 'limbeck\[cams\]'`"):
        maps(network(), None, INPUTS, CLASSES)
