"""Networks with ImageNet weights, taught CIFAR: the teachers of borrowing, trained as the reference trains them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from limbeck.models.zoo import create
from limbeck.recipes.inheritance import load_recipe, made_by
from limbeck.recipes.packaged import find_recipe
from limbeck.recipes.reading import read_recipe
from limbeck.recipes.run import run

RECIPES = ("imagenet-to-cifar10", "imagenet-to-cifar100")
NETWORKS = list(load_recipe(find_recipe(RECIPES[0]))["choices"]["network"])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A few images of CIFAR's shape, in two classes."""
    path = tmp_path_factory.mktemp("data") / "few.npz"
    pixels = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    np.savez(path, x_train=pixels, y_train=np.arange(8) % 2, x_test=pixels[:4], y_test=np.arange(4) % 2)
    return str(path)


def overrides(data: str, **changes: Any) -> list[str]:
    images = {"name": data}
    settings = {
        "data.train": images,
        "data.test": images,
        "data.validation": 0,
        "latency": False,
        "training.batch_size": 2,
    }
    settings |= {"training.steps": 1, "training.precision": "fp32"}
    return [f"{key}={json.dumps(value)}" for key, value in (settings | changes).items()]


@pytest.mark.parametrize("name", RECIPES)
def test_the_reference_trains_them_so(name: str) -> None:
    recipe = read_recipe(name)
    training = recipe.training
    assert (training.epochs, training.batch_size, training.learning_rate) == (20, 64, 0.1)
    assert (training.momentum, training.weight_decay, training.schedule, training.views) == (0, 0, "constant", "none")
    assert recipe.data.validation == 10_000
    assert (recipe.student.mean, recipe.student.std) == ([0.5] * 3, [0.5] * 3)
    assert recipe.student.options == {"pretrained": True}
    usual = read_recipe(name, ["schedule=usual"])
    assert (usual.training.momentum, usual.training.weight_decay, usual.training.schedule) == (0.9, 5e-4, "cosine")
    assert usual.name.endswith("-usual")


def test_teachers_and_sizes_are_those_of_the_reference() -> None:
    students = {network: read_recipe(RECIPES[0], [f"network={network}"]).student for network in NETWORKS}
    sizes = {network: (student.model, student.input_size) for network, student in students.items()}
    assert sizes["resnet34"] == ("timm:resnet34.tv_in1k", 32)
    assert sizes["inception_v3"] == ("timm:inception_v3.tv_in1k", 299)
    assert sizes["resnet18"] == ("timm:resnet18.tv_in1k", 32)
    assert students["resnet18-fresh"].options == {"pretrained": False}
    whole, hundred = read_recipe(RECIPES[0]), read_recipe(RECIPES[1])
    assert (whole.name, hundred.name) == ("imagenet-to-cifar10-resnet34", "imagenet-to-cifar100-inception_v3")
    assert made_by(f"runs/{whole.name}") == "limbeck run imagenet-to-cifar10 -s network=resnet34"
    assert all(timm.is_model(str(student.model).removeprefix("timm:").split(".")[0]) for student in students.values())


@pytest.mark.parametrize("network", ["resnet34", "inception_v3", "resnet18-fresh"])
def test_a_step_of_each(network: str, data: str, tmp_path: Path) -> None:
    """Inception-V3 at the smallest size that it takes, and not evaluated: its batch norm has seen only two images."""
    options = {"student.input_size": 75, "data.test": None} if network == "inception_v3" else {}
    changes = overrides(data, **{"student.options": {"pretrained": False}, **options})
    result = run(read_recipe(RECIPES[0], [f"network={network}", *changes]), tmp_path / "run")
    assert all(parameter.isfinite().all() for parameter in result.student.parameters())
    assert result.student.num_classes == 2


def test_inception_has_no_answer_to_the_pixels_of_cifar() -> None:
    """So that the reference's code, which reads 32 pixels, cannot have run it as it is."""
    network = create("timm:inception_v3", num_classes=2, input_size=75).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 3, 75, 75)).logits.shape == (1, 2)
        with pytest.raises(RuntimeError, match="Kernel size can't be greater than actual input size"):
            network.network(torch.zeros(1, 3, 32, 32))


def test_weights_in_the_hubs_format_are_the_start(data: str, tmp_path: Path) -> None:
    """A folder as the hub has it stands for the hub: the body is that of the weights, the head is new."""
    published = timm.create_model("resnet10t", num_classes=7)
    save_file(published.state_dict(), tmp_path / "model.safetensors")
    config = {"architecture": "resnet10t", "num_classes": 7, "pretrained_cfg": {"classifier": "fc", "first_conv": ""}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    changes = {"student.model": f"timm:local-dir:{tmp_path}", "training.learning_rate": 1e-9}
    result = run(read_recipe(RECIPES[0], overrides(data, **changes)), tmp_path / "run")
    weights = result.student.network.state_dict()
    assert weights["fc.weight"].shape == (2, 512)
    original = published.state_dict()
    assert torch.allclose(weights["layer4.0.conv1.weight"], original["layer4.0.conv1.weight"], atol=1e-5)
