"""Outputs are the values at the tap, whatever the network overwrites later in the same pass."""

import copy
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from limbeck.errors import UserError
from limbeck.models import Classifier, create, wrap
from limbeck.models.forward import FrozenTeacher
from limbeck.models.reused_head import ReusedHead
from limbeck.models.taps import Taps
from limbeck.models.timm_taps import find_taps

EVERYTHING = ("logits", "embedding", "stages")


def _write_through_data(x: Tensor) -> Tensor:
    x.data.relu_()
    return x


def _write_half(x: Tensor) -> Tensor:
    x[:, ::2] *= 0.5
    return x


WRITES: dict[str, Callable[[Tensor], Tensor]] = {
    "relu_": lambda x: x.relu_(),
    "functional": lambda x: F.relu(x, inplace=True),
    "mul_": lambda x: x.mul_(2),
    "add": lambda x: x.add_(1),
    "half": _write_half,
    "view": lambda x: x.view(-1).neg_().view_as(x),
    "data": _write_through_data,
}


class Overwriting(nn.Module):
    """Overwrites the output of its tapped block, and the input of its head.

    With `copies` it computes the same without overwriting either.
    """

    def __init__(self, write: Callable[[Tensor], Tensor], *, copies: bool = False) -> None:
        super().__init__()
        self.write = write
        self.copies = copies
        self.block = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.act = nn.ReLU(inplace=not copies)
        self.head = Head(copies)

    def forward(self, x: Tensor) -> Tensor:
        block = self.block(x)
        out = self.write(block.clone() if self.copies else block)
        return self.head(self.act(out * 1.5).mean((2, 3)))


class Head(nn.Linear):
    def __init__(self, copies: bool) -> None:
        super().__init__(4, 5)
        self.copies = copies

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input * 3 if self.copies else input.mul_(3))


class Residual(nn.Module):
    """`out += identity` after a tapped batch norm, as torchvision and timm write it."""

    def __init__(self, *, copies: bool = False) -> None:
        super().__init__()
        self.copies = copies
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        identity = self.stem(x)
        out = self.norm(identity)
        if self.copies:
            out = out + identity
        else:
            out += identity
        return self.head(out.relu().mean((2, 3)))


def wrapped(module: nn.Module, *stages: str, embedding: str | None = "head", num_classes: int = 5) -> Classifier:
    keywords: dict[str, Any] = {"input_size": None, "mean": (0.5,) * 3, "std": (0.25,) * 3}
    return wrap(module, num_classes=num_classes, embedding=embedding, stages=stages, **keywords)


def pair(make: Callable[..., nn.Module], *stages: str) -> tuple[Classifier, Classifier]:
    """A network that overwrites, and one with the same weights that does not."""
    torch.manual_seed(0)
    writing, plain = make(), make(copies=True)
    plain.load_state_dict(writing.state_dict())
    return wrapped(writing, *stages), wrapped(plain, *stages)


def parts(outputs: Any) -> list[Tensor]:
    return [outputs.logits, outputs.embedding, *outputs.stages, *outputs.pre_activations]


def assert_alike(got: Any, expected: Any) -> None:
    for actual, wanted in zip(parts(got), parts(expected), strict=True):
        torch.testing.assert_close(actual, wanted)


MODES = ["train", "eval", "no_grad", "inference", "bf16"]


def ask(classifier: Classifier, images: Tensor, mode: str, want: tuple[str, ...] = EVERYTHING) -> Any:
    classifier.train(mode == "train")
    with (
        torch.set_grad_enabled(mode in ("train", "eval")),
        torch.inference_mode(mode == "inference"),
        torch.autocast("cpu", torch.bfloat16, enabled=mode == "bf16"),
    ):
        return classifier(images, want=want)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("write", WRITES)
def test_values_are_those_at_the_tap(images: Tensor, write: str, mode: str) -> None:
    writing, plain = pair(lambda **options: Overwriting(WRITES[write], **options), "block", "act")
    for _ in range(3):
        assert_alike(ask(writing, images, mode), ask(plain, images, mode))


@pytest.mark.parametrize("mode", MODES)
def test_residual_sums(images: Tensor, mode: str) -> None:
    writing, plain = pair(Residual, "norm")
    for _ in range(2):
        assert_alike(ask(writing, images, mode), ask(plain, images, mode))


@pytest.mark.parametrize("make", [Residual, lambda **options: Overwriting(torch.relu_, **options)])
def test_gradients_are_those_of_the_tap(images: Tensor, make: Callable[..., nn.Module]) -> None:
    writing, plain = pair(make, "norm" if make is Residual else "block")
    for _ in range(2):
        for classifier in (writing, plain):
            classifier.zero_grad()
            outputs = classifier(images, want=EVERYTHING)
            weighted = [(part * torch.linspace(-1, 1, part.numel()).view_as(part)).sum() for part in parts(outputs)]
            torch.stack(weighted).sum().backward()
        grads = [[parameter.grad for parameter in classifier.parameters()] for classifier in (writing, plain)]
        torch.testing.assert_close(*grads)


@pytest.mark.parametrize("mode", MODES)
def test_batch_norm_before_an_in_place_activation(mode: str) -> None:
    torch.manual_seed(0)
    features = torchvision.models.vgg.make_layers([8, "M", 16, 16, "M"], batch_norm=True)
    network = nn.Sequential(
        OrderedDict(features=features, pool=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten(), head=nn.Linear(16, 5))
    )
    plain = copy.deepcopy(network)
    for module in plain.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    images = torch.rand(2, 3, 32, 32)
    both = [wrapped(body, "features.1", "features.5", "features.6") for body in (network, plain)]
    for _ in range(2):
        got, expected = (ask(classifier, images, mode) for classifier in both)
        assert_alike(got, expected)
        assert bool((got.stages[0] < 0).any())


def test_pre_activations_of_an_in_place_activation_that_is_shared_with_a_stage(images: Tensor) -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), Head(False)
    )
    classifier = wrapped(network, "2", embedding="5")
    for mode in MODES * 2:
        outputs = ask(classifier, images, mode, (*EVERYTHING, "pre_activations"))
        assert torch.equal(outputs.stages[0], outputs.pre_activations[0].relu())
        assert bool((outputs.pre_activations[0] < 0).any())
        torch.testing.assert_close(outputs.embedding, outputs.stages[0].mean((2, 3)))


@pytest.mark.parametrize("how", ["classifier", "network", "block"])
def test_compiled(images: Tensor, how: str) -> None:
    writing, plain = pair(lambda **options: Overwriting(torch.relu_, **options), "block")
    writing.eval()
    expected = plain.eval()(images, want=EVERYTHING)
    torch._dynamo.reset()
    compiled: Any = writing
    with writing.tapping(EVERYTHING), torch.no_grad():
        if how == "classifier":
            compiled = torch.compile(writing, backend="aot_eager")
        else:
            (writing.network if how == "network" else writing.network.get_submodule("block")).compile(
                backend="aot_eager"
            )
        for _ in range(2):
            assert_alike(compiled(images, want=EVERYTHING), expected)


def test_frozen_teacher(images: Tensor) -> None:
    writing, plain = pair(Residual, "norm")
    for dtype in (torch.float32, torch.bfloat16):
        got, expected = (
            FrozenTeacher(classifier, device=torch.device("cpu"), dtype=dtype)(images, want=EVERYTHING)
            for classifier in (writing, plain)
        )
        assert_alike(got, expected)
        # Losses save the outputs for their backward pass.
        (got.stages[0] * torch.ones(4, 1, 1, requires_grad=True)).sum().backward()


def test_only_what_is_overwritten_is_copied(images: Tensor) -> None:
    classifier = wrapped(Residual(), "stem", "norm")
    outputs_of: dict[str, Tensor] = {}
    for name in ("stem", "norm"):
        classifier.network.get_submodule(name).register_forward_hook(
            lambda module, args, output, name=name: outputs_of.update({name: output})
        )
    for number in range(2):
        stem, norm = classifier(images, want=EVERYTHING).stages
        assert (stem.data_ptr() == outputs_of["stem"].data_ptr()) is (number == 1)
        assert norm.data_ptr() != outputs_of["norm"].data_ptr()


def test_what_is_first_overwritten_in_a_later_pass_is_an_error_once(images: Tensor) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))
    classifier = wrapped(network, "0", embedding="4")
    expected = classifier(images, want=EVERYTHING)
    activation: Any = network[1]
    activation.inplace = True
    with pytest.raises(UserError, match="what tap '0' of Sequential read was overwritten in place later in this pass"):
        classifier(images, want=EVERYTHING)
    assert_alike(classifier(images, want=EVERYTHING), expected)


def test_modes_are_learnt_on_their_own(images: Tensor) -> None:
    class Moody(Residual):
        def forward(self, x: Tensor) -> Tensor:
            self.copies = self.training
            return super().forward(x)

    torch.manual_seed(0)
    moody, plain = Moody(), Residual(copies=True)
    plain.load_state_dict(moody.state_dict())
    both = wrapped(moody, "norm"), wrapped(plain, "norm")
    for mode in MODES * 2:
        assert_alike(*(ask(classifier, images, mode) for classifier in both))


def test_reused_head_reads_its_body_before_it_is_overwritten(images: Tensor) -> None:
    heads = []
    for copies in (False, True):
        torch.manual_seed(0)
        body = Residual(copies=copies)
        heads.append(ReusedHead(body, Taps(stages=("norm",)), nn.Identity(), nn.Linear(4, 5), (8, 8)).eval())
    assert torch.equal(heads[0](images), heads[1](images))


def test_timm_stage_is_the_activation_that_made_it_and_not_an_earlier_one_on_the_same_tensor() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, padding=1)
            self.act1 = nn.ReLU(inplace=True)
            self.act2 = nn.ReLU(inplace=True)

        def forward(self, x: Tensor) -> Tensor:
            x = self.act1(self.conv(x))
            x -= 0.1
            return self.act2(x)

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.feature_info = [{"module": "block"}]
            self.block = Block()
            self.fc = nn.Linear(4, 5)

        def get_classifier(self) -> nn.Module:
            return self.fc

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.block(x).mean((2, 3)))

    for inference in (False, True):
        with torch.inference_mode(inference):
            assert find_taps(Network(), 3, (8, 8)).stages == ("block.act2",)


@pytest.mark.parametrize("name", ["resnet10t", "mobilenetv2_035", "densenet121"])
def test_timm(name: str) -> None:
    arguments = {"growth_rate": 4, "block_config": (1, 1, 1, 1)} if "dense" in name else {}
    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=5, **arguments).eval()
    convs = [path for path, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)][:3]
    images = torch.rand(1, 3, 32, 32)
    outputs: list[Tensor] = []
    for path in convs:
        network.get_submodule(path).register_forward_hook(lambda module, args, output: outputs.append(output.clone()))
    classifier = wrapped(network, *convs, embedding=None).eval()
    for mode in ("eval", "inference"):
        outputs.clear()
        got = ask(classifier, images, mode, ("logits", "stages")).stages
        assert all(torch.equal(tap, output) for tap, output in zip(got, outputs, strict=True))


def test_networks_of_the_zoo_are_not_copied(images: Tensor) -> None:
    classifier = create("resnet8", num_classes=10)
    classifier(images, want=(*EVERYTHING, "pre_activations"))
    assert not any(classifier._overwriting.values())
