"""Every network of the catalogue: size, shapes, taps, determinism, and small or odd inputs."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from limbeck.errors import UserError
from limbeck.models import create
from limbeck.models.catalogue import MODELS
from limbeck.models.zoo import BUILDERS
from limbeck.testing import Check, checks_for

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "model_zoo.json").read_text())
EVERYTHING = ("logits", "embedding", "stages", "pre_activations")


SMALL = ["resnet8", "wrn_16_1", "vgg8_w4", "MobileNetV2", "ShuffleV1", "ShuffleV2", "convnet_d3", "lenet5", "alexnet"]
"""Small networks, one of each family."""


@pytest.mark.parametrize("check", [check for name in SMALL for check in checks_for("models", name)], ids=str)
def test_conforms(check: Check) -> None:
    check()


def parameters(name: str) -> int:
    return sum(parameter.numel() for parameter in create(name, num_classes=100).parameters())


def test_catalogue_and_builders_have_the_same_names() -> None:
    assert set(MODELS) == set(BUILDERS)
    assert set(GOLDEN) <= set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_parameters_are_those_of_the_catalogue(name: str) -> None:
    assert parameters(name) == MODELS[name].parameters


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_parameters_and_features(name: str, images: Tensor) -> None:
    classifier = create(name, num_classes=100).eval()
    with torch.inference_mode():
        outputs = classifier(images, want=EVERYTHING)
    shapes = [list(output.shape[1:]) for output in (*outputs.stages, outputs.embedding)]
    assert sum(parameter.numel() for parameter in classifier.parameters()) == GOLDEN[name]["parameters"]
    assert shapes == GOLDEN[name]["features"]


@pytest.mark.parametrize("name", MODELS)
def test_taps_hang_together(name: str, images: Tensor) -> None:
    classifier = create(name, num_classes=7).eval()
    with torch.inference_mode():
        outputs = classifier(images, want=EVERYTHING)
        plain = classifier(images)
        logits = classifier.network.get_submodule("head")(outputs.embedding)
    assert torch.equal(outputs.logits, plain.logits)
    assert torch.equal(outputs.logits, logits)
    assert plain.embedding is None
    assert plain.stages == plain.pre_activations == ()
    norms = ("layer1.0.bn1", "layer2.0.bn1", "layer3.0.bn1", "bn1") if name.startswith("wrn") else ()
    for index, (before, after) in enumerate(zip(outputs.pre_activations, outputs.stages, strict=True)):
        if norms:
            # Stages are sums; norm and activation come in the next layer.
            with torch.inference_mode():
                assert torch.equal(classifier.network.get_submodule(norms[index])(after), before)
        else:
            linear = name == "MobileNetV2" and index > 0
            assert torch.equal(after, before if linear else before.relu())


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("channels", "side"), [(1, 8), (3, 28), (3, 64)])
def test_one_image_of_another_size(name: str, channels: int, side: int) -> None:
    size = side if MODELS[name].input_size else None
    classifier = create(name, num_classes=10, channels=channels, input_size=size).eval()
    with torch.inference_mode():
        outputs = classifier(torch.rand(1, channels, side, side), want=("logits", "embedding", "stages"))
    assert outputs.logits.shape == (1, 10)
    assert bool(torch.isfinite(outputs.logits).all())


@pytest.mark.parametrize(
    "name", ["resnet8", "wrn_16_1", "vgg8_w4", "MobileNetV2", "ShuffleV2", "convnet_d3", "lenet5", "alexnet"]
)
def test_gradient_reaches_every_parameter(name: str, images: Tensor) -> None:
    classifier = create(name, num_classes=5)
    outputs = classifier(images, want=EVERYTHING)
    outputs.logits.square().sum().backward()
    lost = [key for key, value in classifier.named_parameters() if value.grad is None]
    assert lost == []


def test_same_seed_same_weights_and_nobody_else_disturbed() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, same, other = (create("resnet8", num_classes=10, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), same.parameters(), strict=True))
    assert not torch.equal(first.network.get_parameter("head.weight"), other.network.get_parameter("head.weight"))


def test_names_do_not_mind_case() -> None:
    assert create("RESNET50", num_classes=10).name == "ResNet50"


def test_unknown_name() -> None:
    with pytest.raises(UserError, match=r"unknown model 'resnet2O'; did you mean .*'resnet20'.*`limbeck ls models`"):
        create("resnet2O", num_classes=10)


def test_unknown_option() -> None:
    with pytest.raises(UserError, match=r"unknown model option 'withd'; did you mean 'width'.*width, norm, pooling"):
        create("convnet_d3", num_classes=10, withd=3)
    with pytest.raises(UserError, match="resnet20 has no options"):
        create("resnet20", num_classes=10, width=3)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"norm": "weight"}, "`norm` of convnet_d3 must be one of instance, batch, group, layer, none, got 'weight'"),
        ({"activation": "gelu"}, "`activation` of convnet_d3 must be one of relu, leaky_relu, sigmoid, got 'gelu'"),
        ({"pooling": 2}, "`pooling` of convnet_d3 must be one of average, max, none, got 2"),
        ({"width": 0}, "`width` of convnet_d3 must be a whole number >= 1, got 0"),
        ({"width": True}, "`width` of convnet_d3 must be a whole number >= 1, got True"),
        ({"width": 6, "norm": "group"}, "`width` must be a multiple of 4 with `norm` 'group', got 6"),
        ({"input_size": 3}, "must be at least 4x4, got 3x3"),
        ({"input_size": (8, 0)}, r"must be one or two whole numbers >= 1, got \(8, 0\)"),
        ({"num_classes": 0}, "`num_classes` must be at least 1, got 0"),
        ({"channels": 0}, "`channels` must be at least 1, got 0"),
    ],
)
def test_bad_values(option: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        create("convnet_d3", **({"num_classes": 10} | option))


def test_lenet_of_half_its_width_and_with_batch_norm() -> None:
    sizes = {
        (width, norm): sum(
            parameter.numel()
            for parameter in create("lenet5", num_classes=10, channels=1, width=width, norm=norm).parameters()
        )
        for width in (3, 6)
        for norm in ("none", "batch")
    }
    assert sizes[6, "none"] == 61_706  # LeCun et al., with all maps connected
    assert sizes[6, "batch"] == 61_706 + 2 * (6 + 16 + 120)
    assert sizes[3, "batch"] == 15_738 + 2 * (3 + 8 + 60)


@pytest.mark.parametrize("norm", ["instance", "batch", "group", "layer", "none"])
@pytest.mark.parametrize("pooling", ["average", "max", "none"])
def test_convnet_choices(norm: str, pooling: str) -> None:
    classifier = create("convnet_d3", num_classes=10, channels=1, input_size=8, width=8, norm=norm, pooling=pooling)
    assert classifier(torch.rand(2, 1, 8, 8)).logits.shape == (2, 10)


def test_layer_norm_of_a_convnet_is_over_channels_and_pixels() -> None:
    """As published; its weights have each layer's size before pooling."""
    classifier = create("convnet_d2", num_classes=10, channels=1, input_size=(8, 6), width=4, norm="layer")
    shapes = [list(layer[1].weight.shape) for layer in classifier.network.get_submodule("layers").children()]
    assert shapes == [[4, 8, 6], [4, 4, 3]]
    first = classifier.network.get_submodule("layers.0")
    normed = first[1](first[0](torch.rand(3, 1, 8, 6)))
    torch.testing.assert_close(normed.mean((1, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("activation", "at_minus_one"), [("relu", 0), ("leaky_relu", -0.01), ("sigmoid", 0.26894)])
def test_activations_of_a_convnet(activation: str, at_minus_one: float) -> None:
    classifier = create("convnet_d1", num_classes=10, channels=1, input_size=4, width=4, activation=activation)
    activated = classifier.network.get_submodule("layers.0.2")(torch.tensor([-1.0]))
    assert float(activated) == pytest.approx(at_minus_one, abs=1e-5)


def test_convnet_is_as_published() -> None:
    assert sum(parameter.numel() for parameter in create("convnet_d3", num_classes=10).parameters()) == 320_010


@pytest.mark.parametrize("depth", range(1, 7))
def test_deep_convnet_sees_tiny_images(depth: int) -> None:
    """Instance norm over a single pixel would make all images alike."""
    classifier = create(f"convnet_d{depth}", num_classes=10, channels=1, input_size=8, width=8)
    logits_of_first, logits_of_second = classifier(torch.rand(2, 1, 8, 8)).logits
    assert not torch.allclose(logits_of_first, logits_of_second)


def test_lenet_pads_28_to_32_by_the_border() -> None:
    classifier = create("lenet5", num_classes=10, channels=1).eval()
    black_border = torch.zeros(1, 1, 32, 32)
    black_border[..., 4:28, 4:28] = torch.rand(24, 24)
    assert torch.allclose(classifier(black_border).logits, classifier(black_border[..., 2:30, 2:30]).logits)
