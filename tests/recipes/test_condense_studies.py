"""The packaged comparisons of condensed sets: which runs those are, and that a short one of each runs."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import limbeck as lb
from limbeck.models.weights.folder import save
from limbeck.recipes.compare import compare
from limbeck.recipes.plan import plan
from limbeck.recipes.reading import read_recipe
from limbeck.recipes.schema import Recipe
from limbeck.transfer.condense.settings import CondenseSettings

ARMS = {
    "cifar10-condense": {"mtt", "datm", "edf", "edf-without-drop", "edf-without-mask", "edf-shift", "dm", "rded"},
    "imagenette-condense": {"mask", "no-mask", "longer-steps"},
}
CONTROLS = {
    # RDED is an arm of its own here, whose hard labels have controls of theirs.
    "cifar10-condense": {
        "condense-rded",
        *(f"condense-random{suffix}" for suffix in ("", "-soft", "-of-rded", "-soft-of-rded")),
    },
    "imagenette-condense": {"condense-random", "condense-random-soft", "condense-rded"},
}


@pytest.mark.parametrize("name", ARMS)
def test_every_arm_has_its_controls(name: str) -> None:
    arms = {cell.arm for cell in plan(read_recipe(name))}
    assert arms == ARMS[name] | CONTROLS[name] | {"full", "full-no-teacher"}


@pytest.mark.parametrize("name", ARMS)
def test_the_full_data_is_taught_as_is_usual(name: str) -> None:
    """A batch of ten for 500 passes over all of it would take a day."""
    planned = plan(read_recipe(name))
    taught = {cell.arm: cell.recipe.training for cell in planned}
    assert (taught["full"].steps, taught["full"].learning_rate) == (4000, 0.05)
    rates = {taught[arm].learning_rate for arm in ARMS[name] | CONTROLS[name]}
    assert rates == {"learned"}
    optimizers = {
        transfer.use.optimizer for cell in planned if isinstance(transfer := cell.recipe.transfer, CondenseSettings)
    }
    assert optimizers == {"sgd"}  # which the rates that sets carry are for


@pytest.mark.filterwarnings("ignore:no judge is right", "ignore:.*float16. loses more than")
def test_a_step_with_the_mask_and_without(tmp_path: Path) -> None:
    results = compare(short("imagenette-condense", tmp_path), tmp_path / "all")
    assert [run["error"] for run in results["runs"] if run["state"] != "finished"] == []
    assert {row["arm"] for row in results["table"]} >= ARMS["imagenette-condense"]


def short(name: str, folder: Path) -> Recipe:
    """The same comparison of one seed, on a few images of 16 pixels, with one iteration."""
    classes, labels = [f"kind {number}" for number in range(10)], np.arange(60) % 10
    pixels = np.random.default_rng(0).integers(0, 256, (60, 16, 16, 3), dtype=np.uint8)
    parts = {"x_train": pixels, "y_train": labels, "x_test": pixels[:20] // 2, "y_test": labels[:20]}
    np.savez(folder / "target.npz", **parts, classes=classes)
    save(lb.create("resnet8", num_classes=10, classes=classes, input_size=16).eval(), folder / "teacher")
    images = {"name": str(folder / "target.npz")}
    changes: dict[str, Any] = {"data.train": images, "data.test": images, "latency": False, "inside": 0}
    changes |= {"teacher": {"weights": str(folder / "teacher")}, "student.options.width": 4}
    changes |= {"training.epochs": 1, "training.precision": "fp32", "compare.seeds": [0]}
    experts = {"count": 1, "epochs": 6, "steps_per_snapshot": 1, "batch_size": 64}
    for arm in ARMS[name]:
        settings = {
            "iterations": 1,
            "network.options.width": 4,
            **{f"experts.{key}": value for key, value in experts.items()},
        }
        changes |= {f"compare.arms.{arm}.transfer.{key}": value for key, value in settings.items()}
        changes[f"compare.arms.{arm}.training.epochs"] = 4
    return read_recipe(name, [f"{key}={json.dumps(value)}" for key, value in changes.items()])
