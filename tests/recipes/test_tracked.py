"""Recipes that name a tracker: one run there for each of their runs, from the process that writes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tests.recipes.tiny_recipes import comparison, training

from limbeck.errors import UserError
from limbeck.recipes import compare as compare_module
from limbeck.recipes.compare import compare
from limbeck.recipes.reading import read_recipe
from limbeck.recipes.run import run
from limbeck.recipes.tracked import tracking
from limbeck.training import tracker_settings as tracker_settings_module
from limbeck.training.run_folder import RunFolder


def test_every_run_of_a_comparison_is_tracked_beside_the_others(
    copied: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare_module, "write_comparison_report", Path)
    folder = copied()
    recipe = comparison(seeds=[0], arms={"entropy": {}, "mine": "variance"})
    results = compare(read_recipe(recipe, ["tracker=tensorboard"]), folder, resume=True)  # which shapes no run
    tracked = {str(path.parent.relative_to(folder)) for path in folder.rglob("tensorboard")}
    assert tracked == {"runs/mine@12-images/seed-0"}
    events = EventAccumulator(str(folder / "runs" / "mine@12-images" / "seed-0" / "tensorboard"))
    events.Reload()
    (mine,) = [row for row in results["runs"] if row["arm"] == "mine"]
    assert [(scalar.step, scalar.value) for scalar in events.Scalars("test/top1")] == [
        (12, pytest.approx(mine["last"]))
    ]
    assert [scalar.step for scalar in events.Scalars("validation/top1")] == [6, 12]
    assert yaml.safe_load((folder / "recipe.yaml").read_text())["tracker"]["name"] == "tensorboard"


def test_titles_and_groups_are_those_of_the_comparison(tmp_path: Path) -> None:
    recipe = read_recipe(training(tracker={"name": "wandb", "project": "mine"}))
    folder = tmp_path / "runs" / "entropy@5" / "seed-1"
    with tracking(recipe, RunFolder(folder), of_comparison=True) as tracker:
        assert tracker is not None
        assert (tracker.title, tracker.group) == ("entropy@5/seed-1", "tiny")
        assert tracker.config["training.steps"] == 12
        assert not [name for name in tracker.config if name.startswith(("tracker", "compare"))]
    with tracking(recipe, RunFolder(folder), of_comparison=False) as tracker:
        assert tracker is not None
        assert (tracker.title, tracker.group) == ("tiny", None)
    with tracking(recipe, RunFolder(folder, writes=False), of_comparison=False) as tracker:
        assert tracker is None


@pytest.mark.parametrize(
    ("tracker", "message"),
    [
        ("neptune", r"tracker.name: must be 'tensorboard', 'wandb', 'mlflow' or 'trackio', got 'neptune'"),
        ({"name": "tensorboard", "project": "mine"}, r"tracker: `project` is not for tensorboard"),
        ({"name": "wandb", "entity": "me"}, r"tracker\.entity: unknown key"),
    ],
)
def test_wrong_trackers_are_said_with_the_other_errors(tracker: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_recipe(training(tracker=tracker))


def test_overrides_reach_into_a_short_form() -> None:
    tracker_settings = read_recipe(training(tracker="wandb"), ["tracker.options.mode=offline"]).tracker
    assert tracker_settings is not None
    assert (tracker_settings.name, tracker_settings.options) == ("wandb", {"mode": "offline"})


def test_a_missing_package_is_said_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracker_settings_module, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="needs the package mlflow, which is not installed: pip install mlflow"):
        run(read_recipe(training(tracker="mlflow")), tmp_path / "run")
    with pytest.raises(UserError, match="needs the package trackio"):
        compare(read_recipe(comparison(), ["tracker=trackio"]), tmp_path / "run")
    assert not (tmp_path / "run").exists()
