"""Hooks exist only during the pass that needs them, and every misuse has its own message."""

import copy

import pytest
import torch
from torch import Tensor, nn

from limbeck.errors import UserError
from limbeck.models import Classifier, Taps, create, wrap

EVERYTHING = ("logits", "embedding", "stages", "pre_activations")


class Mine(nn.Module):
    """A user's network, with an in-place activation and one that runs twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.act = nn.ReLU(inplace=True)
        self.body = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.shared = nn.GELU()
        self.pair = Pair()
        self.idle = nn.ReLU()
        self.fc = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.shared(self.body(self.shared(self.act(self.conv(x)))))
        return self.fc(self.pair(x)[0].mean((2, 3)))


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


def wrapped(**arguments: object) -> Classifier:
    keywords = {"num_classes": 5, "input_size": None, "mean": (0.5,) * 3, "std": (0.25,) * 3} | arguments
    return wrap(Mine(), **keywords)


def hooks(module: nn.Module) -> int:
    return sum(len(submodule._forward_hooks) + len(submodule._forward_pre_hooks) for submodule in module.modules())


def test_any_module(images: Tensor) -> None:
    classifier = wrapped(embedding="fc", stages=("act",))
    outputs = classifier(images, want=EVERYTHING)
    assert outputs.embedding.shape == (2, 4)
    assert torch.equal(outputs.stages[0], outputs.pre_activations[0].relu())
    assert bool((outputs.pre_activations[0] < 0).any())
    assert classifier.name == "Mine"


def test_no_hooks_without_need(small: Classifier, images: Tensor) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nn.Module, "register_forward_hook", None)
        patch.setattr(nn.Module, "register_forward_pre_hook", None)
        small(images)


def test_hooks_are_gone_afterwards(small: Classifier, images: Tensor) -> None:
    small(images, want=EVERYTHING)
    assert hooks(small) == 0
    with pytest.raises(UserError, match="takes images of 3"):
        small(torch.rand(1, 2, 8, 8), want=EVERYTHING)
    with small.tapping(("logits", "stages")):
        assert hooks(small) == 5
    assert hooks(small) == 0


def test_hooks_that_stay(small: Classifier, images: Tensor) -> None:
    expected = small.eval()(images, want=EVERYTHING)
    with small.tapping(("stages", "embedding")):
        for _ in range(2):
            got = small(images, want=("logits", "stages"))
            assert got.embedding is None
            assert torch.equal(got.stages[-1], expected.stages[-1])
        assert small(images).stages == ()
        everything = small(images, want=EVERYTHING)
        assert torch.equal(everything.pre_activations[0], expected.pre_activations[0])
        with pytest.raises(UserError, match="takes images of 3"):
            small(torch.rand(1, 2, 8, 8))
        assert torch.equal(small(images, want=("embedding",)).embedding, expected.embedding)


def test_failed_pass_leaves_nothing_behind(images: Tensor) -> None:
    classifier = wrapped(embedding="fc", stages=("act",), num_classes=6)
    with classifier.tapping(("stages",)):
        for _ in range(2):
            with pytest.raises(UserError, match="is `num_classes` right"):
                classifier(images, want=("stages",))


def test_copy_records_on_its_own(small: Classifier, images: Tensor) -> None:
    with small.eval().tapping(EVERYTHING):
        twin = copy.deepcopy(small)
        with torch.no_grad():
            twin.network.get_parameter("head.bias").add_(1)
        outputs, outputs_of_twin = small(images, want=EVERYTHING), twin(images, want=EVERYTHING)
    assert torch.equal(outputs.stages[2], outputs_of_twin.stages[2])
    assert not torch.equal(outputs.logits, outputs_of_twin.logits)


def test_gradient_flows_through_stages(small: Classifier, images: Tensor) -> None:
    small(images, want=("stages",)).stages[0].sum().backward()
    assert small.network.get_parameter("block0.0.weight").grad is not None


@pytest.mark.parametrize("stay", [True, False])
def test_compiled(images: Tensor, stay: bool) -> None:
    classifier = create("resnet8", num_classes=10).eval()
    expected = classifier(images, want=EVERYTHING)
    torch._dynamo.reset()
    compiled = torch.compile(classifier, backend="eager")
    if stay:
        with classifier.tapping(EVERYTHING):
            got = [compiled(images, want=EVERYTHING) for _ in range(2)][-1]
    else:
        got = [compiled(images, want=EVERYTHING) for _ in range(2)][-1]
    assert torch.allclose(compiled(images).logits, expected.logits)
    assert all(torch.allclose(a, b) for a, b in zip(got.stages, expected.stages, strict=True))


@pytest.mark.parametrize(
    ("arguments", "want", "message"),
    [
        ({}, "stages", r"`stages` of Mine is wanted but no tap says where; give `stages` with .*conv, act, body"),
        ({}, "embedding", "`embedding` of Mine is wanted but no tap says where; give `embedding` with module paths"),
        ({}, "pre_activations", "`stages` of Mine is wanted but no tap"),
        ({"stages": ("body",)}, "pre_activations", "stage 'body' ends in Sequential, which is not an activation"),
        ({"stages": ("shared",)}, "stages", "tap 'shared' of Mine runs more than once"),
        ({"stages": ("idle",)}, "stages", "tap 'idle' of Mine did not run"),
        ({"stages": ("pair",)}, "stages", "tap 'pair' of Mine must carry one tensor, got tuple"),
        ({"stages": ("fc",)}, "stages", r"stage 'fc' of Mine must be a map \[B, C, H, W\], got shape \[2, 5\]"),
        ({"embedding": "body"}, "embedding", r"must be \[B, D\], but the input of 'body' has shape \[2, 4, 32, 32\]"),
        ({}, "stage", "unknown output 'stage'; did you mean 'stages'"),
    ],
)
def test_misuse(images: Tensor, arguments: dict, want: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        wrapped(**arguments)(images, want=(want,))


def test_want_is_a_collection(small: Classifier, images: Tensor) -> None:
    with pytest.raises(UserError, match="`want` must be a collection of names"):
        small(images, want="stages")


@pytest.mark.parametrize("arguments", [{"embedding": "fcc"}, {"stages": ("act", "fcc")}, {"stages": ("",)}])
def test_path_of_no_module(arguments: dict) -> None:
    with pytest.raises(UserError, match=r"unknown module path '(fcc)?'.*Paths of Mine are conv, act, body, body.0"):
        wrapped(**arguments)


def test_layouts() -> None:
    tokens = torch.arange(2 * 7 * 3.0).view(2, 7, 3)
    grid = Taps(layout="tokens", prefix_tokens=1, grid=(2, 3)).as_map(tokens)
    assert grid.shape == (2, 3, 2, 3)
    assert torch.equal(grid[:, :, 1, 0], tokens[:, 4])
    last = torch.rand(2, 4, 5, 3)
    assert torch.equal(Taps(layout="maps_last").as_map(last)[:, 1], last[..., 1])
