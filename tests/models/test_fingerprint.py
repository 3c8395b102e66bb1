"""Fingerprints: equal in every process for networks with equal outputs, other ones where outputs visibly change."""

import copy
import functools
import importlib.util
import os
import subprocess
import sys
import threading
import types
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize, prune

from limbeck.models import Classifier, create, wrap
from limbeck.models.fingerprint import fingerprint, identify

SCALE = 1.0


def helper(x: Tensor) -> Tensor:
    return x * SCALE


class Scaled(nn.Module):
    """Its `forward` reads the attribute `factor`, whatever that is."""

    def __init__(self, factor: Any = 1.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(12, 5)
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return helper(self.linear(x.flatten(1)) / self.factor)


class Tempered(Scaled):
    T = 1

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) / self.T


class Other(Scaled):
    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.flatten(1)) / (self.factor + 1)


class Options:
    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


class Slotted:
    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Parametrization(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


def wrapped(module: nn.Module, **changes: Any) -> Classifier:
    keywords: dict[str, Any] = {"num_classes": 5, "input_size": None, "mean": (0.5,) * 3, "std": (0.25,) * 3}
    return wrap(module, **keywords | changes)


def of(module: nn.Module) -> str:
    return fingerprint(wrapped(module))


def closure(factor: float) -> Callable[[Tensor], Tensor]:
    return lambda x: x * factor


def scaling(module: nn.Module, args: tuple, output: Tensor) -> Tensor:
    return output * 3


ATTRIBUTES: dict[str, tuple[Any, Any]] = {
    "number": (1, 4),
    "kind of number": (1, 1.0),
    "sign of zero": (0.0, -0.0),
    "text": ("mean", "max"),
    "list": ([1.0, 2.0], [1.0, 3.0]),
    "nested": ({"a": [1, {"b": (2,)}]}, {"a": [1, {"b": (3,)}]}),
    "order": ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    "ordered": (OrderedDict(a=1), OrderedDict(a=2)),
    "set": ({"a", "b"}, {"a", "c"}),
    "array": (np.ones(3), np.array([1.0, 1.0, 2.0])),
    "kind of array": (np.ones(3), np.ones(3, np.float32)),
    "scalar": (np.float64(1), np.float64(2)),
    "objects": (np.array([1, "a"], object), np.array([2, "a"], object)),
    "tensor": (torch.ones(2), torch.tensor([1.0, 2.0])),
    "bfloat16": (torch.ones(2, dtype=torch.bfloat16), torch.zeros(2, dtype=torch.bfloat16)),
    "sparse": (torch.eye(2).to_sparse(), (2 * torch.eye(2)).to_sparse()),
    "type": (torch.float32, torch.float64),
    "function": (F.relu, F.gelu),
    "builtin": (torch.relu, torch.sigmoid),
    "method of a tensor": (Tensor.exp, Tensor.log),
    "numpy function": (np.tanh, np.exp),
    "operator": (torch.ops.aten.relu, torch.ops.aten.neg),
    "partial": (
        functools.partial(F.leaky_relu, negative_slope=0.1),
        functools.partial(F.leaky_relu, negative_slope=0.2),
    ),
    "closure": (closure(1), closure(2)),
    "lambda": (lambda x: x + 1, lambda x: x + 2),
    "default": (lambda x, by=1: x + by, lambda x, by=2: x + by),
    "class": (nn.ReLU, nn.GELU),
    "object": (Options(T=1), Options(T=4)),
    "slots": (Slotted(1), Slotted(2)),
    "namespace": (types.SimpleNamespace(a=1), types.SimpleNamespace(a=2)),
    "unregistered module": ([nn.Linear(1, 1)], [nn.Linear(1, 1)]),
    "device": (torch.device("cpu"), torch.device("meta")),
    "path": (Path("a"), Path("b")),
    "cached": (functools.cache(closure(1)), functools.cache(closure(2))),
    "bound": (Options(T=1).__init__, Options(T=2).__init__),
}


@pytest.mark.parametrize("what", ATTRIBUTES)
def test_attributes(what: str) -> None:
    value, other = ATTRIBUTES[what]
    assert of(Scaled(value)) != of(Scaled(other))
    assert of(Scaled(value)) == of(Scaled(value))
    if what not in ("operator", "method of a tensor", "builtin", "cached"):
        assert of(Scaled(value)) == of(copy.deepcopy(Scaled(value)))


def _patched(module: nn.Module, forward: Callable) -> nn.Module:
    vars(module)["forward"] = types.MethodType(forward, module)
    return module


def _hooked(module: nn.Module, register: str, hook: Callable, **options: Any) -> nn.Module:
    getattr(module, register)(hook, **options)
    return module


def _parametrised(factor: float) -> nn.Module:
    module = Scaled()
    parametrize.register_parametrization(module.linear, "weight", Parametrization(factor))
    return module


def _pruned(amount: float) -> nn.Module:
    module = Scaled()
    prune.l1_unstructured(module.linear, "weight", amount=amount)
    return module


def _buffered(value: float) -> nn.Module:
    module = Scaled()
    module.register_buffer("scale", torch.tensor(value), persistent=False)
    return module


def _biased(bias: float) -> nn.Module:
    module = Scaled()
    nn.init.constant_(module.linear.bias, bias)
    return module


def _decorated(module: nn.Module, by: float) -> nn.Module:
    original = type(module).forward

    @functools.wraps(original)
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        return original(self, x) * by

    return _patched(module, forward)


MODULES: dict[str, list[Callable[[], nn.Module]]] = {
    "weights": [lambda: _biased(0.1), lambda: _biased(0.2)],
    "buffers outside of the state dict": [lambda: _buffered(1.0), lambda: _buffered(2.0)],
    "subclass": [Scaled, Other, Tempered],
    "hooks": [
        Scaled,
        lambda: _hooked(Scaled(), "register_forward_hook", scaling),
        lambda: _hooked(Scaled(), "register_forward_hook", lambda module, args, output: output * 4),
        lambda: _hooked(Scaled(), "register_forward_pre_hook", lambda module, args: (args[0] * 4,)),
        lambda: _hooked(Scaled(), "register_forward_hook", lambda *_: None, with_kwargs=True),
    ],
    "monkeypatched forward": [
        Scaled,
        lambda: _patched(Scaled(), lambda self, x: self.linear(x.flatten(1)) * 2),
        lambda: _patched(Scaled(), lambda self, x: self.linear(x.flatten(1)) * 3),
    ],
    "forward in disguise": [lambda: _decorated(Scaled(), 1.0), lambda: _decorated(Scaled(), 2.0)],
    "monkeypatched library": [
        lambda: torchvision.ops.Conv2dNormActivation(3, 4),
        lambda: _decorated(torchvision.ops.Conv2dNormActivation(3, 4), 2.0),
    ],
    "parametrisations": [Scaled, lambda: _parametrised(1.0), lambda: _parametrised(2.0)],
    "pruning": [Scaled, lambda: _pruned(0.2), lambda: _pruned(0.5)],
    "options of layers": [
        lambda: nn.Sequential(nn.MaxPool2d(2), nn.Softmax(1)),
        lambda: nn.Sequential(nn.MaxPool2d(3), nn.Softmax(1)),
        lambda: nn.Sequential(nn.MaxPool2d(2), nn.Softmax(2)),
    ],
    "order of layers": [
        lambda: nn.Sequential(nn.ReLU(), nn.Softmax(1)),
        lambda: nn.Sequential(nn.Softmax(1), nn.ReLU()),
    ],
}


@pytest.mark.parametrize("what", MODULES)
def test_modules(what: str) -> None:
    torch.manual_seed(0)
    fingerprints = []
    for make in MODULES[what]:
        torch.manual_seed(0)
        fingerprints.append(of(make()))
    assert len(set(fingerprints)) == len(fingerprints)


def test_classes_and_what_functions_name(monkeypatch: pytest.MonkeyPatch) -> None:
    fingerprints = [of(Tempered())]
    monkeypatch.setattr(Tempered, "T", 4)
    fingerprints.append(of(Tempered()))
    monkeypatch.setattr(sys.modules[__name__], "SCALE", 2.0)
    fingerprints.append(of(Tempered()))
    monkeypatch.setattr(sys.modules[__name__], "helper", lambda x: x)
    fingerprints.append(of(Tempered()))
    monkeypatch.setattr(torchvision.models.resnet.BasicBlock, "forward", lambda self, x: x)
    fingerprints.append(of(torchvision.models.resnet18(num_classes=5)))
    monkeypatch.undo()
    assert len(set(fingerprints)) == 5
    assert of(Tempered()) == fingerprints[0]


@pytest.mark.parametrize(
    "changes",
    [{"mean": (0.4,) * 3}, {"std": (0.3,) * 3}, {"input_size": 8}, {"stages": ("linear",)}, {"embedding": "linear"}],
)
def test_how_it_is_used(changes: dict[str, Any]) -> None:
    assert fingerprint(wrapped(Scaled(), **changes)) != of(Scaled())


def test_what_does_not_change_answers_does_not_change_it() -> None:
    classifier = create("resnet8", num_classes=4)
    before = fingerprint(classifier)
    classifier.train()(torch.rand(1, 3, 32, 32).repeat(2, 1, 1, 1), want=("stages",))
    assert fingerprint(classifier) != before  # its batch statistics have changed
    before = fingerprint(classifier.eval())
    assert fingerprint(classifier.train()) == before
    classifier.requires_grad_(False)
    with classifier.tapping(("logits", "stages")):
        assert fingerprint(classifier) == before
    assert fingerprint(copy.deepcopy(classifier).to(memory_format=torch.channels_last)) == before
    assert fingerprint(create("resnet8", num_classes=4, classes="abcd")) == fingerprint(
        create("resnet8", num_classes=4)
    )
    assert fingerprint(create("resnet8", num_classes=4)) != fingerprint(create("resnet8", num_classes=4, seed=1))


def test_networks_of_libraries_are_vouched_for() -> None:
    networks = [
        torchvision.models.mobilenet_v3_small(num_classes=5),
        timm.create_model("resnet10t", num_classes=5, drop_path_rate=0.1),
        timm.create_model("vit_tiny_patch16_224", num_classes=5, depth=1),
        nn.Sequential(nn.LSTM(2, 2), nn.Linear(2, 5)),
        _pruned(0.2),
    ]
    for network in networks[:-1]:
        assert identify(wrapped(network)).unseen == ()
    assert identify(create("ShuffleV2", num_classes=5)).unseen == ()
    assert identify(create("timm:resnet10t", num_classes=5)).unseen == ()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (Scaled, "code of Scaled"),
        (lambda: _hooked(nn.Linear(3, 5), "register_forward_hook", scaling), "code of a hook of `network`"),
        (lambda: _with(nn.Linear(3, 5), lock=threading.Lock()), "a lock in `network.lock`"),
        (lambda: _with(nn.Linear(3, 5), scale=closure(2)), "code of network.scale"),
        (lambda: torch.jit.trace(nn.Linear(3, 5), torch.rand(1, 3)), "TorchScript in `network`"),
        (lambda: torch.fx.symbolic_trace(nn.Linear(3, 5)), "code of "),
        (lambda: nn.Linear(3, 5, device="meta"), "a tensor without data in `network.weight`"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*torch.jit", "ignore::DeprecationWarning")
def test_what_cannot_be_vouched_for(make: Callable[[], nn.Module], reason: str) -> None:
    unseen = identify(wrapped(make())).unseen
    assert any(text.startswith(reason) for text in unseen), unseen


def _with(module: nn.Module, **attributes: Any) -> nn.Module:
    vars(module).update(attributes)
    return module


@pytest.mark.filterwarnings(
    "ignore:torch.quantize_per_tensor", "ignore:torch.ao.quantization", "ignore::DeprecationWarning"
)
def test_quantised_tensors_and_layers() -> None:
    tensors = [torch.quantize_per_tensor(torch.ones(2), scale, 0, torch.qint8) for scale in (0.1, 0.2, 0.1)]
    scaled = [of(Scaled(tensor)) for tensor in tensors]
    assert scaled[0] == scaled[2] != scaled[1]

    from torch.ao.nn.quantized.dynamic import Linear

    fingerprints = []
    for bias in (0.0, 1.0, 0.0):
        torch.manual_seed(0)
        linear = nn.Linear(12, 5)
        nn.init.constant_(linear.bias, bias)
        quantised = Linear(12, 5)
        weight = torch.quantize_per_tensor(linear.weight.detach(), 0.01, 0, torch.qint8)
        quantised.set_weight_bias(weight, linear.bias.detach())
        fingerprints.append(of(nn.Sequential(nn.Flatten(), quantised)))
    assert fingerprints[0] == fingerprints[2] != fingerprints[1]


MODULE = """
import functools, torch
from torch import nn
NAMES = frozenset(["a", "b", "c", "d"])
class Teacher(nn.Module):
    kinds = {"x", "y", "z"}
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(12, 5)
        self.act = functools.partial(torch.nn.functional.leaky_relu, negative_slope=0.1)
        self.scale, self.names, self.callback = 2, {"p", "q", "r"}, lambda x: x * 2
        self.linear.register_forward_hook(lambda module, args, output: self.callback(output))
    def forward(self, x):
        x = self.act(self.linear(x.flatten(1))) FACTOR
        return x if "a" in NAMES or "e" in {"e", "f", "g"} else -x
"""
PRINT = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[1:2]
import limbeck as lb, teacher_module
from limbeck.models.fingerprint import fingerprint
given = dict(num_classes=5, input_size=None, mean=(0.5,) * 3, std=(0.25,) * 3)
networks = [lb.wrap(teacher_module.Teacher(), **given), lb.models.create("resnet8", num_classes=4)]
print(*(fingerprint(one) for one in networks))
"""


def test_other_processes_find_the_same_and_changed_sources_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "teacher_module.py"
    path.write_text(MODULE.replace("FACTOR", "* 1"))
    in_another = subprocess.run(
        [sys.executable, "-c", PRINT, str(tmp_path)],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()

    def here() -> str:
        spec = importlib.util.spec_from_file_location("teacher_module", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "teacher_module", module)
        spec.loader.exec_module(module)
        return of(module.Teacher())

    assert [here(), fingerprint(create("resnet8", num_classes=4))] == in_another
    path.write_text("# A comment.\n" + MODULE.replace("FACTOR", "* 1"))
    assert here() == in_another[0]
    path.write_text(MODULE.replace("FACTOR", "* 2 "))
    assert here() != in_another[0]
