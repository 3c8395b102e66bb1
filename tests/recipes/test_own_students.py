"""Students of the user's own modules, taught by recipes and in Python, load again by their run folders."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.recipes.tiny_recipes import comparison, training
from tests.training.tiny import same, stripes, weights
from torch import Tensor, nn
from typer.testing import CliRunner

import limbeck as lb
from limbeck.cli.main import app
from limbeck.errors import UserError
from limbeck.models.catalogue import MODELS
from limbeck.recipes.compare import compare
from limbeck.recipes.inputs import PythonObjects
from limbeck.recipes.reading import read_recipe
from limbeck.recipes.run import run

SOURCE = """
from torch import nn


class Net(nn.Module):
    def __init__(self, num_classes, channels=1, *, width=2):
        super().__init__()
        self.width = width
        self.body, self.fc = nn.Conv2d(channels, width, 3), nn.Linear(width, num_classes)

    def forward(self, x):
        return self.fc(self.body(x).mean((2, 3)))
"""
IMAGES = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
QUICK: dict[str, Any] = {"steps": 2, "batch_size": 8, "views": "none", "validation": 0}


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "own_nets.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_nets", raising=False)
    yield __import__("own_nets").Net
    sys.modules.pop("own_nets", None)


def test_named_in_a_recipe(net: Any) -> None:
    content = training(student={"model": "own_nets:Net", "options": {"width": 3}})
    images = stripes(40)
    result = run(read_recipe(content), "runs/one", objects=PythonObjects(train=images, test=stripes(20, seed=1)))
    again = lb.load_model("runs/one")
    assert same(weights(again), weights(result.student))
    assert same(weights(lb.load_model("runs/one", model="own_nets:Net")), weights(result.student))
    assert "It is made by `own_nets:Net`, which has to be importable." in Path("runs/one/README.md").read_text()
    Path("own_nets.py").unlink()
    del sys.modules["own_nets"]
    with pytest.raises(UserError, match=r"'runs/one' says how its network is made: .*own_nets.* Or give `lb"):
        lb.load_model("runs/one")
    assert same(weights(lb.load_model("runs/one", model=net)), weights(result.student))


def test_wrapped_in_python(net: Any, tmp_path: Path) -> None:
    images, test = stripes(40), stripes(20, seed=1)
    wrapped = lb.wrap(net(2, width=3), num_classes=2, input_size=8, channels=1, mean=[0.5], std=[0.25], embedding="fc")
    result = lb.distill(None, wrapped, images, test=test, out="runs/one", **QUICK)
    again = lb.load_model("runs/one")
    assert same(weights(again), weights(result.student))
    assert (again.classes, again.taps) == (result.student.classes, result.student.taps)
    resumed = lb.distill(None, wrapped, images, test=test, out="runs/one", resume=True, **QUICK)
    assert same(weights(resumed.student), weights(result.student))
    assert not same(weights(wrapped), weights(result.student)), "what was handed over stays as it is"
    as_teacher = lb.distill("runs/one", wrapped, images, test=test, out="runs/two", **QUICK)
    assert as_teacher.evaluation is not None
    assert as_teacher.evaluation.fidelity is not None


def test_a_module_that_no_path_makes(net: Any) -> None:
    images, test = stripes(40), stripes(20, seed=1)
    layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    wrapped = lb.wrap(layers, num_classes=2, input_size=8, channels=1, mean=[0.5], std=[0.25])
    result = lb.distill(None, wrapped, images, test=test, out="runs/one", **QUICK)
    refused = CliRunner().invoke(app, ["evaluate", "runs/one", "--data", "digits"])
    assert refused.exit_code == 2
    assert "lb.load_model('runs/one', model=make)" in " ".join(refused.output.split())
    assert same(weights(lb.load_model("runs/one", model=layers)), weights(result.student))


def test_handed_over_in_python(net: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Local(net):
        pass

    name = MODELS.name_of(Local)
    assert name.startswith("python:Local#")
    before = lb.create(name, num_classes=2, channels=1, width=3).eval()
    lb.save_model(before, "saved")
    assert torch.equal(lb.load_model("saved")(IMAGES).logits, before(IMAGES).logits)
    monkeypatch.delitem(MODELS.handed_over, name)  # as in another process
    with pytest.raises(UserError, match=r"only that process knows it.* Or give `lb.load_model\('saved', model=make"):
        lb.load_model("saved")
    assert torch.equal(lb.load_model("saved", model=Local)(IMAGES).logits, before(IMAGES).logits)


def test_a_function_that_passes_the_number_of_classes_on(tmp_path: Path) -> None:
    content = training(student="torchvision.models:squeezenet1_1")
    assert read_recipe(content).student.model == "torchvision.models:squeezenet1_1"

    def passing(*, weights: Any = None, **given: Any) -> nn.Module:
        assert given == {"num_classes": 2}
        return nn.Sequential(nn.Flatten(), nn.Linear(8 * 8 * 3, **{"out_features": given["num_classes"]}))

    student = lb.distill(None, passing, stripes(40), out=tmp_path / "run", **QUICK).student
    assert (student.num_classes, student.taps.embedding) == (2, "1")
    assert same(weights(lb.load_model(tmp_path / "run")), weights(student))
    assert same(weights(lb.load_model(tmp_path / "run", model=passing)), weights(student))
    with pytest.raises(UserError, match=r"must return logits \[B, 3\], got shape \[2, 7\]; is `num_classes` right"):
        lb.create(MODELS.name_of(swallowing), num_classes=3)(IMAGES)
    with pytest.raises(
        UserError, match=r"must take `num_classes`, got classes. Write `def net\(num_classes\): return two"
    ):
        MODELS.name_of(two)
    with pytest.raises(UserError, match="unknown model option 'width'"):
        lb.create(MODELS.name_of(swallowing), num_classes=7, width=3)


def swallowing(**_: Any) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(8 * 8 * 3, 7))


def two(classes: int = 2) -> nn.Module:
    return nn.Linear(8 * 8, classes)


class Narrow(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.head = nn.Linear(10, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x.flatten(1))


WRONG = rf"^the student {__name__}:Narrow raised RuntimeError: .*mat1 and mat2 .* \(test_own_students.py:\d+\)\.$"


def test_an_arm_whose_network_fails_leaves_the_others_alone(tmp_path: Path) -> None:
    arms = {"narrow": {"select": "random", "student": {"model": f"{__name__}:Narrow"}}, "fine": "entropy"}
    results = compare(read_recipe(comparison(arms=arms, seeds=[0])), tmp_path / "all")
    runs = {run["arm"]: run for run in results["runs"]}
    assert runs["fine"]["state"] == "finished"
    assert re.match(WRONG, runs["narrow"]["error"])


def test_a_network_that_fails_is_told_before_a_teacher_is_trained(tmp_path: Path) -> None:
    content = {**comparison(), "student": {"model": f"{__name__}:Narrow"}}
    with pytest.raises(UserError, match=WRONG):
        compare(read_recipe(content), tmp_path / "all")
    assert not (tmp_path / "all" / "teacher").exists()
