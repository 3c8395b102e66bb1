"""Every kind of transfer set in one comparison: which runs it has, and that each of them runs."""

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

NAME = "cifar10-frontier"


def test_every_way_has_its_own_budgets_and_controls() -> None:
    by_budget: dict[str, set[str]] = {}
    for cell in plan(read_recipe(NAME)):
        by_budget.setdefault(cell.budget_label, set()).add(cell.arm)
    selected = {"herding", "el2n-lowest", "random", "balanced-random", "no-teacher"}
    condensed = {"edf", "condense-random", "condense-random-soft", "condense-rded", "no-teacher"}
    assert by_budget == {
        "1/class": condensed,
        "50/class": selected,
        "500/class": selected,
        "5000 images": {"margin-mixup", "borrowed-random", "borrowed-balanced-random", "no-teacher"},
        "25600 images": {"generated", "noise", "procedural", "random", "no-teacher"},
        "all": {"full", "full-no-teacher"},
    }


@pytest.mark.filterwarnings("ignore:the teacher takes no image of the pools", "ignore:no judge is right")
def test_a_step_of_each(tmp_path: Path) -> None:
    classes, labels = [f"kind {number}" for number in range(10)], np.arange(60) % 10
    for seed, name in enumerate(("target", "pool")):
        pixels = np.random.default_rng(seed).integers(0, 256, (60, 32, 32, 3), dtype=np.uint8)
        parts = {"x_train": pixels, "y_train": labels, "x_test": pixels[:20] // 2, "y_test": labels[:20]}
        np.savez(tmp_path / f"{name}.npz", **parts, classes=classes)
    save(lb.create("resnet8", num_classes=10, classes=classes).eval(), tmp_path / "teacher")
    target = {"name": str(tmp_path / "target.npz")}
    changes: dict[str, Any] = {"data.train": target, "data.test": target, "latency": False, "inside": 0}
    changes |= {"teacher": {"weights": str(tmp_path / "teacher")}, "student.options.width": 4}
    changes |= {"training.steps": 2, "training.batch_size": 4, "training.precision": "fp32"}
    changes |= {"compare.seeds": [0], "compare.budgets": ["2/class"]}
    arms: dict[str, dict[str, Any]] = {
        "margin-mixup": {"budgets": [10], "transfer.pools": [str(tmp_path / "pool.npz")]},
        "generated": {
            "budgets": [12],
            "transfer.batch_size": 4,
            "transfer.inner_steps": 1,
            "transfer.warmup_rounds": 1,
        },
        "edf": {"transfer.iterations": 1, "transfer.network.options.width": 4, "training.epochs": 1},
    }
    arms["generated"] |= {"transfer.steps_per_round": 1, "transfer.generator": {"width": 4}}
    experts = {"count": 1, "epochs": 6, "steps_per_snapshot": 1, "batch_size": 64}
    arms["edf"] |= {f"transfer.experts.{key}": value for key, value in experts.items()}
    changes |= {f"compare.arms.{arm}.{key}": value for arm, settings in arms.items() for key, value in settings.items()}
    recipe = read_recipe(NAME, [f"{key}={json.dumps(value)}" for key, value in changes.items()])
    results = compare(recipe, tmp_path / "all")
    assert {run["state"] for run in results["runs"]} == {"finished"}
    needed = {row["arm"]: row["real_images"] for row in results["table"] if not row["control"]}
    assert needed == {"herding": 60, "el2n-lowest": 60, "margin-mixup": 0, "generated": 0, "edf": 60}
    assert "real images of the task needed" in (tmp_path / "all" / "report.html").read_text()
