"""Trackers show what metrics.jsonl holds, once and in order, and are dropped if they fail."""

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from accelerate.tracking import LOGGER_TYPE_TO_CLASS
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2
from tests.training.conftest import Run
from tests.training.stopping import stop_at
from tests.training.tiny import same, settings, weights

from limbeck.errors import UserError
from limbeck.training import Interrupted, RunFolder, TrainingResult
from limbeck.training import tracker_settings as tracker_settings_module
from limbeck.training.tracker_settings import TrackerSettings, check_tracker
from limbeck.training.tracking import RunTracker

CONFIG = {"name": "tiny", "training": {"steps": 12, "views": ["crop"], "clip_norm": None}}


def tracker(folder: Path, name: Any = "tensorboard", **options: Any) -> RunTracker:
    chosen = TrackerSettings(name=name, options=options)
    return RunTracker(chosen, RunFolder(folder), title="one", group="many", config=CONFIG)


@pytest.fixture(autouse=True)
def _a_second_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorBoard orders a run's files by the seconds in their names, so each file gets its own second."""
    from tensorboard.summary.writer import event_file_writer

    class Time:
        now = 1e9

        @classmethod
        def time(cls) -> float:
            cls.now += 1
            return cls.now

    monkeypatch.setattr(event_file_writer, "time", Time)


def shown(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Tag -> steps and values, as TensorBoard's own reader returns them."""
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def written(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """The same from metrics.jsonl, rounded to float32 as TensorBoard does."""
    rows: dict[str, list[tuple[int, float]]] = {}
    for row in RunFolder(folder).metrics():
        flat = {**row, **{f"terms/{name}": value for name, value in row.get("terms", {}).items()}}
        for name, value in flat.items():
            if name not in ("kind", "step") and isinstance(value, int | float):
                rows.setdefault(f"{row['kind']}/{name}", []).append((row["step"], float(np.float32(value))))
    return rows


def test_tensorboard_has_what_metrics_has_and_the_student_is_the_same(teach: Run, tmp_path: Path) -> None:
    watched = tracker(tmp_path / "run")
    taught = teach(tracker=watched)
    watched.finish({"test": {"top1": 0.75, "per_class": [1]}, "chosen": None}, 12)
    watched.close()
    assert same(weights(taught.student), weights(teach("plain").student))
    assert shown(tmp_path / "run") == written(tmp_path / "run") | {"test/top1": [(12, 0.75)]}
    assert {"train/loss", "train/terms/kd", "train/learning_rate", "validation/top1"} <= shown(tmp_path / "run").keys()
    assert len([*(tmp_path / "run" / "tensorboard").iterdir()]) == 1  # live boards read only the newest file


def test_tensorboard_shows_the_recipe_as_hyper_parameters(tmp_path: Path) -> None:
    watched = tracker(tmp_path)
    watched.begin(0, [])
    watched.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    content = events.PluginTagToContent("hparams")["_hparams_/session_start_info"]
    data: Any = plugin_data_pb2
    parameters = data.HParamsPluginData.FromString(content).session_start_info.hparams
    assert parameters["training.steps"].number_value == 12
    assert parameters["training.views"].string_value == '["crop"]'
    assert "training.clip_norm" not in parameters


@pytest.mark.parametrize("seconds", [0, 1000])
def test_a_resumed_run_goes_on_in_the_same_tracker_run(
    seconds: int, teach: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rare = settings(checkpoint_seconds=seconds)
    watched = tracker(tmp_path / "run")
    with pytest.MonkeyPatch.context() as patch:
        stop_at(7, patch)
        with pytest.raises(Interrupted):
            teach(tracker=watched, settings=rare)
    watched.close()
    first = json.loads((tmp_path / "run" / "tracker.json").read_text())
    # As after a kill: the steps logged since the last checkpoint are repeated.
    RunFolder(tmp_path / "run").append_metrics(kind="train", step=9, loss=7.0)
    watched = tracker(tmp_path / "run")
    teach(resume=True, tracker=watched, settings=rare)
    watched.close()
    assert json.loads((tmp_path / "run" / "tracker.json").read_text()) == first
    assert shown(tmp_path / "run") == written(tmp_path / "run")
    assert [step for step, _ in shown(tmp_path / "run")["train/loss"]] == [*range(1, 13)]


def test_a_run_that_is_tracked_from_its_middle_on_is_shown_whole(teach: Run, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stop_at(7, patch)
        with pytest.raises(Interrupted):
            teach()
    watched = tracker(tmp_path / "run")
    teach(resume=True, tracker=watched)
    watched.close()
    assert shown(tmp_path / "run") == written(tmp_path / "run")


class Fake:
    """Stands in for a tracker that cannot take back what it was shown."""

    made: ClassVar[list["Fake"]] = []
    broken = ""

    def __init__(self, place: str, **arguments: Any) -> None:
        self.place = place
        self.arguments = arguments
        self.steps: list[int] = []
        self.config: dict[str, Any] = {}
        self.ended = False
        self.tracker = self
        Fake.made.append(self)

    @property
    def info(self) -> Any:
        return type("Info", (), {"run_id": "run-1"})

    def start(self) -> None:
        if self.broken == "start":
            raise RuntimeError("no network")

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.config = values

    def log(self, values: dict[str, float], step: int) -> None:
        assert values
        if self.broken == "log":
            raise ConnectionError("gone")
        self.steps.append(step)

    def finish(self) -> None:
        self.ended = True
        if self.broken == "finish":
            raise ConnectionError("gone")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[Fake]:
    for name in ("wandb", "mlflow", "trackio"):
        monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, name, Fake)
    monkeypatch.setattr(Fake, "made", [])
    return Fake


@pytest.mark.parametrize("name", ["wandb", "mlflow", "trackio"])
def test_trackers_that_keep_all_are_shown_no_step_twice(
    name: str, teach: Run, fake: type[Fake], tmp_path: Path
) -> None:
    rare = settings(checkpoint_seconds=1000, validations=0)
    watched = tracker(tmp_path / "run", name, mode="offline")
    with pytest.MonkeyPatch.context() as patch:
        stop_at(7, patch)
        with pytest.raises(Interrupted):
            teach(tracker=watched, settings=rare)
    watched.close()
    RunFolder(tmp_path / "run").append_metrics(kind="train", step=9, loss=7.0)
    watched = tracker(tmp_path / "run", name)
    teach(resume=True, tracker=watched, settings=rare)
    watched.close()
    first, second = fake.made
    assert first.steps == [*range(1, 9)]
    assert second.steps == [10, 11, 12]  # it has already seen 9
    assert first.ended
    assert (first.place, first.arguments["mode"]) == ("limbeck", "offline")
    assert first.config["training.steps"] == 12
    again = {"wandb": "id", "trackio": "name", "mlflow": "run_id"}[name]
    assert second.arguments[again] == ("run-1" if name == "mlflow" else first.arguments[again])
    assert "many" in (first.arguments.get("group"), first.arguments.get("tags", {}).get("group"))
    assert second.config == ({} if name == "mlflow" else first.config)


@pytest.mark.parametrize("broken", ["start", "log", "finish"])
def test_a_tracker_that_fails_is_left_out_with_one_warning(
    broken: str, teach: Run, fake: type[Fake], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(fake, "broken", broken)
    watched = tracker(tmp_path / "run", "wandb")

    def watch() -> TrainingResult:
        taught = teach(tracker=watched)
        watched.finish({"test/top1": 1.0}, 12)
        watched.close()
        return taught

    with pytest.warns(UserWarning, match=r"the tracker 'wandb' failed \(\w+: .*\) and is left out") as caught:
        taught = watch()
    assert len(caught) == 1
    assert same(weights(taught.student), weights(teach("plain").student))
    assert not (tmp_path / "run" / "tracker.json").exists()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    check_tracker(None)
    check_tracker(TrackerSettings(name="tensorboard"))
    monkeypatch.setattr(tracker_settings_module, "find_spec", lambda name: None)
    installs: dict[Any, str] = {"tensorboard": r"'limbeck\[trackers\]'", "wandb": "wandb", "mlflow": "mlflow"}
    for name, install in installs.items():
        with pytest.raises(UserError, match=rf"`tracker` '{name}' needs the package .*: pip install {install}; or"):
            check_tracker(TrackerSettings(name=name))
