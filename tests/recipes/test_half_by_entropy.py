"""The published regime of choosing half of the data by entropy: its values in every choice, and that it runs."""

from pathlib import Path
from typing import Any

import pytest

from limbeck.progress import Silent
from limbeck.recipes.reading import read_recipe
from limbeck.recipes.schema import Recipe
from limbeck.recipes.verbs import run_and_report

DATASETS = ("cifar10", "mnist", "fashion-mnist")
NETWORKS = ("vgg8_w32", "vgg8_w16", "vgg8_w8", "vgg8_w4", "vgg8_w2")


def resolved(*changes: str) -> Recipe:
    return read_recipe("half-by-entropy", list(changes))


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("teacher", ["here", "deit"])
@pytest.mark.parametrize("dataset", DATASETS)
def test_what_was_published(dataset: str, teacher: str, network: str) -> None:
    recipe = resolved(f"dataset={dataset}", f"from={teacher}", f"network={network}")
    training, compare = recipe.training, recipe.compare
    assert compare is not None
    assert compare.budgets is not None
    assert (training.epochs, training.batch_size, training.learning_rate) == (100, 32, 0.01)
    assert (training.momentum, training.weight_decay, training.schedule) == (0.9, 5e-4, "constant")
    assert recipe.student.model == network
    assert [str(budget) for budget in compare.budgets] == ["50%"]
    assert len(compare.seeds) == 5
    assert {"entropy", "entropy-lowest"} == set(compare.arms)
    if teacher == "deit":
        assert recipe.teacher is not None
        assert (recipe.teacher.model, recipe.teacher.input_size) == ("timm:deit_tiny_patch16_224.fb_in1k", 224)


@pytest.mark.slow
def test_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    short: dict[str, Any] = {"training.epochs": 0.1, "teacher.training.epochs": 0.1, "compare.seeds": [0]}
    digits = {"data.train": "digits", "data.test": "digits", "network": "vgg8_w2", "dataset": "mnist"}
    recipe = resolved(*(f"{name}={value}" for name, value in {**digits, **short}.items()))
    run_and_report(recipe, tmp_path / "run", resume=False, progress=Silent())
    assert (tmp_path / "run" / "report.html").exists()
