"""The recipes that borrow: every choice is valid, has its controls, and runs."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import limbeck as lb
from limbeck.models.weights.folder import save
from limbeck.objectives.sums import weighted_sum
from limbeck.recipes.compare import compare
from limbeck.recipes.inheritance import load_recipe
from limbeck.recipes.packaged import find_recipe
from limbeck.recipes.plan import plan
from limbeck.recipes.reading import read_recipe
from limbeck.recipes.run import run
from limbeck.transfer.borrow.settings import BorrowSettings

STUDY, REFERENCE = "cifar10-borrow", "cifar10-borrow-reference"
CHOICES = load_recipe(find_recipe(STUDY))["choices"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of CIFAR's shape, every kind of a pattern of its own, and a teacher that tells the kinds apart."""
    folder = tmp_path_factory.mktemp("data")
    classes = [f"kind {number}" for number in range(10)]
    labels = np.arange(60) % 10
    patterns = np.random.default_rng(0).integers(0, 192, (10, 4, 4, 3), dtype=np.uint8).repeat(8, 1).repeat(8, 2)
    for seed, name in enumerate(("target", "pool", "other")):
        noise = np.random.default_rng(seed).integers(0, 64, (60, 32, 32, 3), dtype=np.uint8)
        pixels = patterns[labels] + noise
        parts = {"x_train": pixels, "y_train": labels, "x_test": pixels[:20] // 2, "y_test": labels[:20]}
        np.savez(folder / f"{name}.npz", **parts, classes=classes)
    teacher = lb.create("resnet8", num_classes=10, classes=classes).eval()
    assert teacher.taps.embedding is not None
    head = teacher.network.get_submodule(teacher.taps.embedding)
    with torch.no_grad():
        embeddings = teacher(lb.load(folder / "pool.npz").tensor(), want=("embedding",)).embedding
        assert embeddings is not None
        assert isinstance(head, torch.nn.Linear)
        solution = torch.linalg.lstsq(embeddings - embeddings.mean(0), torch.eye(10)[labels] - 0.1).solution.T
        head.weight.copy_(solution)
        head.bias.copy_(-solution @ embeddings.mean(0))
        assert (teacher(lb.load(folder / "pool.npz").tensor()).logits.argmax(1).numpy() == labels).all()
    save(teacher, folder / "teacher")
    return folder


def small(content: Any, folder: Path) -> Any:
    """The same recipe on a few images."""
    if isinstance(content, list):
        return [small(item, folder) for item in content]
    if not isinstance(content, dict):
        return content
    mapping = {key: small(value, folder) for key, value in content.items()}
    files = {"pools": [str(folder / "pool.npz"), str(folder / "other.npz")], "calibration": str(folder / "pool.npz")}
    files |= {"fixed_count": 3}
    return mapping | {key: value for key, value in files.items() if key in mapping}


def overrides(folder: Path, **changes: Any) -> list[str]:
    target = {"name": str(folder / "target.npz")}
    settings = {"data.test": target, "teacher": {"weights": str(folder / "teacher")}, "latency": False, "inside": 0}
    settings |= {"training.batch_size": 4, "training.precision": "fp32", "training.steps": 1, "training.validations": 1}
    return [f"{key}={json.dumps(value)}" for key, value in (settings | changes).items()]


@pytest.mark.parametrize("images", CHOICES["images"])
@pytest.mark.parametrize("mixing", CHOICES["mixing"])
def test_every_choice_has_its_controls(images: str, mixing: str) -> None:
    recipe = read_recipe(STUDY, [f"images={images}", f"mixing={mixing}"])
    runs = plan(recipe)
    controls = {run.arm for run in runs if run.control}
    assert controls == {"borrowed-random", "borrowed-balanced-random", "full", "full-no-teacher"}
    views = {str(run.recipe.training.views) for run in runs if run.recipe.teacher is not None}
    assert len(views) == 1, "controls are mixed as the arms are"
    assert (mixing in views.pop()) == (mixing != "none")
    pools = {
        tuple(pool.name for pool in run.recipe.transfer.pools)
        for run in runs
        if isinstance(run.recipe.transfer, BorrowSettings)
    }
    assert len(pools) == 1, "the same for arms and controls"


def test_a_step_of_the_study(folder: Path, tmp_path: Path) -> None:
    content = small(load_recipe(find_recipe(STUDY)), folder)
    arms = content["choices"]["images"]["others"]["compare"]["arms"]
    for arm in ("margin", "entropy", "boundary", "k-centre"):  # each is quick to try by itself
        del arms[arm]
    target = {"name": str(folder / "target.npz")}
    unlabelled = {"name": str(folder / "other.npz"), "split": "test", "labels": False}
    changes = {"data.train": target, "data.validation": unlabelled, "compare.budgets": [20], "compare.seeds": [0]}
    recipe = read_recipe(content, ["mixing=mixup", *overrides(folder, **changes)])
    results = compare(recipe, tmp_path / "study")
    assert {run["state"] for run in results["runs"]} == {"finished"}
    assert (tmp_path / "study" / "report.html").is_file()


@pytest.mark.parametrize("selection", ["minimal-margin", "entropy", "none"])
def test_a_step_as_the_reference_does(selection: str, folder: Path, tmp_path: Path) -> None:
    content = small(load_recipe(find_recipe(REFERENCE)), folder)
    changes = {"transfer.budget": 30, "student": {"model": "resnet8"}}
    recipe = read_recipe(content, [f"selection={selection}", *overrides(folder, **changes)])
    result = run(recipe, tmp_path / "run")
    assert result.evaluation is not None


def test_the_reference_borrows_so() -> None:
    recipe = read_recipe(REFERENCE)
    transfer = recipe.transfer
    assert isinstance(transfer, BorrowSettings)
    names = ["cifar100", "stl10", "places365", "tiny-imagenet", "svhn", "caltech101", "caltech256"]
    assert [pool.name for pool in transfer.pools] == names
    assert transfer.pools[2].images == 36_500
    assert (transfer.by, transfer.fill, transfer.short, transfer.budget) == (
        "minimal-margin",
        "first-come",
        "leave",
        50_000,
    )
    assert transfer.threshold is not None
    assert (transfer.threshold.of, transfer.threshold.calibration.name) == ("mean", "cifar10")
    training = recipe.training
    assert (training.epochs, training.batch_size, training.learning_rate) == (20, 64, 0.1)
    assert (training.momentum, training.weight_decay, training.schedule, training.views) == (0, 0, "constant", "none")
    terms = weighted_sum(recipe.resolved_objective())
    assert terms.weights == {"kd": 0.1}, "a tenth: the mean over ten classes, too"
    assert vars(terms.objectives()["kd"])["temperature"] == 10
    entropy, none = (read_recipe(REFERENCE, [f"selection={selection}"]).transfer for selection in ("entropy", "none"))
    assert isinstance(entropy, BorrowSettings)
    assert isinstance(none, BorrowSettings)
    assert entropy.threshold is not None
    assert (entropy.by, entropy.threshold.of, entropy.threshold.fixed_count) == ("entropy", "best-share", 100)
    assert none.threshold is None
    assert [pool.name for pool in none.pools] == ["svhn", "tiny-imagenet"]
