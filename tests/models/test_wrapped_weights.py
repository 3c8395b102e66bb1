"""Modules made outside limbeck: saved without pickle, rebuilt by import path, class, function or module."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from limbeck.errors import UserError
from limbeck.models import Classifier, create, load, save, wrap
from limbeck.models.whitening import Whitening

SOURCE = """
from torch import nn


class Remembering(nn.Module):
    def __init__(self, num_classes, channels=3, *, width=4, activation="relu"):
        super().__init__()
        self.width, self.activation = width, activation
        self.body = nn.Sequential(nn.Conv2d(channels, width, 3), nn.ReLU() if activation == "relu" else nn.GELU())
        self.fc = nn.Linear(width, num_classes)

    def forward(self, x):
        return self.fc(self.body(x).mean((2, 3)))


class Forgetful(Remembering):
    def __init__(self, num_classes, channels=3, *, act="relu"):
        super().__init__(num_classes, channels, activation=act)


def function(num_classes, channels, size, depth=1):
    assert size == (8, 8)
    return Remembering(num_classes, channels, width=depth)


CALLED = []


def dangerous(**anything):
    CALLED.append(anything)
"""
IMAGES = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A user's module that can be imported."""
    (tmp_path / "my_networks.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_networks", raising=False)
    yield __import__("my_networks")
    sys.modules.pop("my_networks", None)


def wrapped(module: nn.Module, **changes: Any) -> Classifier:
    arguments: dict[str, Any] = {
        "num_classes": 3,
        "input_size": 8,
        "channels": 1,
        "mean": (0.4,),
        "std": (0.2,),
        "classes": ("a", "b", "c"),
    }
    return wrap(module, **{**arguments, **changes}).eval()


def about(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text())


def layers(outputs: int = 3) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, outputs))


def assert_same(again: Classifier, before: Classifier) -> None:
    want = ("logits", "embedding") if before.taps.embedding else ("logits",)
    for actual, expected in zip(again(IMAGES, want)[:2], before(IMAGES, want)[:2], strict=True):
        assert actual is expected is None or torch.equal(actual, expected)
    for key in ("classes", "normalisation", "input_size", "taps", "num_classes", "channels"):
        assert getattr(again, key) == getattr(before, key)
    assert not again.training


def test_a_class_is_imported_with_the_options_that_it_remembers(package: Any, tmp_path: Path) -> None:
    before = wrapped(package.Remembering(3, 1, width=6, activation="gelu"), embedding="fc", stages=("body",))
    state = torch.random.get_rng_state()
    save(before, tmp_path / "one")
    assert torch.equal(torch.random.get_rng_state(), state)
    assert about(tmp_path / "one")["module"]["path"] == "my_networks:Remembering"
    assert about(tmp_path / "one")["module"]["options"] == {"width": 6, "activation": "gelu"}
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["config.json", "model.safetensors"]
    assert_same(load(tmp_path / "one"), before)


def test_a_class_that_would_be_another_module_is_not_imported(package: Any, tmp_path: Path) -> None:
    """The weights of both modules have the same shapes."""
    before = wrapped(package.Forgetful(3, 1, act="gelu"))
    save(before, tmp_path / "one")
    assert about(tmp_path / "one")["module"]["path"] is None
    with pytest.raises(
        UserError, match=r"a Forgetful, a module .* outside limbeck, .*`lb.load_model\('.*', model=make"
    ):
        load(tmp_path / "one")
    assert_same(load(tmp_path / "one", model=package.Forgetful, act="gelu"), before)
    assert_same(load(tmp_path / "one", model="my_networks:Forgetful", act="gelu"), before)
    save(wrapped(package.Forgetful(3, 1)), tmp_path / "usual")
    assert load(tmp_path / "usual").name == "Forgetful"


GIVEN: dict[str, Callable[[Classifier], Any]] = {
    "function": lambda before: layers,
    "module": lambda before: layers(),
    "classifier": lambda before: wrapped(layers(), mean=(0.0,), classes=()),
    "function of a classifier": lambda before: lambda num_classes: wrapped(layers(num_classes)),
}


@pytest.mark.parametrize("how", GIVEN)
def test_what_is_handed_over_makes_it_again_and_stays_as_it_is(how: str, tmp_path: Path) -> None:
    before = wrapped(layers(), embedding="1")
    save(before, tmp_path / "one")
    model = GIVEN[how](before)
    state = {key: value.clone() for key, value in model.state_dict().items()} if isinstance(model, nn.Module) else {}
    assert_same(load(tmp_path / "one", model=model), before)
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in state.items())


def test_a_class_with_a_parameter_that_is_called_as_one_of_loading(tmp_path: Path) -> None:
    class Counting(nn.Sequential):
        def __init__(self, classes: int) -> None:
            super().__init__(nn.Flatten(), nn.Linear(64, classes))

    save(wrapped(Counting(3)), tmp_path / "one")
    words = r"It takes `classes`, which `load_model` has .*, as `model=lambda: Counting\(classes=...\)`"
    with pytest.raises(UserError, match=words):
        load(tmp_path / "one", model=Counting)
    with pytest.raises(UserError, match="`classes` must be the names of the classes, got 3; how many there are is"):
        load(tmp_path / "one", model=Counting, classes=3)  # pyright: ignore[reportArgumentType]
    assert load(tmp_path / "one", model=lambda: Counting(classes=3)).num_classes == 3


def test_what_does_not_make_it(package: Any, tmp_path: Path) -> None:
    save(wrapped(layers()), tmp_path / "one")
    wrong: list[tuple[Any, str]] = [
        (5, r"`model` must be a name, a class of modules, a function that makes one, or a module, got 5"),
        (lambda width: layers(), r"<lambda> does not make the Sequential .*missing .*'width'.*known are num_classes=3"),
        (lambda: 3, "`model` must make a module, got int from <lambda>"),
        (
            lambda: layers(4),
            r"do not fit Sequential; 2 of another shape: 1.weight \(file \[3, 64\], network \[4, 64\]\)",
        ),
        ("my_networks:Missing", r"`model` 'my_networks:Missing'.*Missing"),
        ("no_such_package:Net", r"`model` 'no_such_package:Net'.*no_such_package"),
    ]
    for model, message in wrong:
        with pytest.raises(UserError, match=message):
            load(tmp_path / "one", model=model)
    with pytest.raises(UserError, match=r"`width` of the Sequential .* cannot be set: it is made already"):
        load(tmp_path / "one", model=layers(), width=3)
    with pytest.raises(UserError, match="has 3 classes, so `num_classes` must be that or left out, got 4"):
        load(tmp_path / "one", model=layers, num_classes=4)


def test_inputs_and_options_of_a_function(package: Any, tmp_path: Path) -> None:
    before = wrapped(package.Remembering(3, 1, width=2))
    save(before, tmp_path / "one")
    assert_same(load(tmp_path / "one", model=package.function, depth=2), before)


def test_a_description_calls_nothing_but_a_class_of_modules(package: Any, tmp_path: Path) -> None:
    save(wrapped(package.Remembering(3, 1)), tmp_path / "one")
    config = about(tmp_path / "one")
    config["module"] |= {"path": "my_networks:dangerous", "options": {"command": "rm"}}
    (tmp_path / "one" / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        UserError,
        match=r"`path` must be the import path of a class of modules, got 'my_networks:dangerous', .* Or give",
    ):
        load(tmp_path / "one")
    assert package.CALLED == []


def test_a_class_that_has_gone_may_be_handed_over(package: Any, tmp_path: Path) -> None:
    before = wrapped(package.Remembering(3, 1, width=5))
    save(before, tmp_path / "one")
    (tmp_path / "my_networks.py").unlink()
    del sys.modules["my_networks"]
    with pytest.raises(
        UserError,
        match=r"says how its Remembering is made again: `path` 'my_networks:Remembering'.* Or give `lb.load_mo",
    ):
        load(tmp_path / "one")
    assert_same(load(tmp_path / "one", model=package.Remembering), before)


def test_a_named_network_may_be_made_by_what_is_handed_over(tmp_path: Path) -> None:
    before = create("lenet5", num_classes=3, channels=1, input_size=8).eval()
    save(before, tmp_path / "one")
    module = create("lenet5", num_classes=3, channels=1, input_size=8, seed=1)
    assert torch.equal(load(tmp_path / "one", model=module)(IMAGES).logits, before(IMAGES).logits)


def test_a_saved_one_may_be_saved_again(package: Any, tmp_path: Path) -> None:
    before = wrapped(package.Remembering(3, 1))
    save(before, tmp_path / "one")
    save(load(tmp_path / "one"), tmp_path / "two")
    assert_same(load(tmp_path / "two"), before)
    assert about(tmp_path / "one") == about(tmp_path / "two")


def test_whitening_stays_with_it(tmp_path: Path) -> None:
    images = torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    whitening = Whitening.of_tensors({"mean": images.mean(0), "matrix": torch.eye(64) * 2})
    before = Classifier(layers(), num_classes=3, channels=1, whitening=whitening).eval()
    save(before, tmp_path / "one")
    again = load(tmp_path / "one", model=layers)
    assert torch.equal(again(IMAGES).logits, before(IMAGES).logits)
    with pytest.raises(UserError, match=r"takes images whitened as whitening.safetensors says; leave out `mean`"):
        load(tmp_path / "one", model=layers, mean=(0.5,))


@pytest.fixture
def earlier(tmp_path: Path) -> tuple[Path, Classifier]:
    """A folder as earlier versions wrote it: weights, and names of the classes."""
    before = wrapped(layers())
    folder = tmp_path / "earlier"
    folder.mkdir()
    safetensors.torch.save_file(before.network.state_dict(), folder / "model.safetensors")
    (folder / "classes.json").write_text('["a", "b", "c"]\n')
    return folder, before


def test_folders_of_earlier_versions(earlier: tuple[Path, Classifier]) -> None:
    folder, before = earlier
    with pytest.raises(UserError, match=r"holds no config.json: .* by an earlier version.*`Classifier` of `lb.wrap`"):
        load(folder)
    assert_same(load(folder, model=wrapped(layers(), classes=())), before)
    assert_same(load(folder, model=layers, mean=(0.4,), std=(0.2,), input_size=8, channels=1), before)
    with pytest.raises(UserError, match="needs `mean` and `std` as in the training of"):
        load(folder, model=layers)
    save(load(folder, model=before), folder)
    assert about(folder)["classes"] == ["a", "b", "c"]


def test_weights_of_a_file(tmp_path: Path, earlier: tuple[Path, Classifier]) -> None:
    folder, before = earlier
    (folder / "model.safetensors").rename(tmp_path / "theirs.safetensors")
    arguments: dict[str, Any] = {
        "num_classes": 3,
        "channels": 1,
        "mean": (0.4,),
        "std": (0.2,),
        "input_size": 8,
        "classes": before.classes,
    }
    assert_same(load(tmp_path / "theirs.safetensors", model=layers, **arguments), before)
