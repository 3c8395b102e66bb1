"""Runs of a comparison side by side: the same students as one by one, whatever stops or dies in between."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from tests.recipes.tiny_recipes import comparison
from typer.testing import CliRunner

import limbeck as lb
from limbeck.cli.main import app
from limbeck.errors import UserError
from limbeck.models.classifier import Classifier
from limbeck.recipes import compare as compare_module
from limbeck.recipes.compare import compare
from limbeck.recipes.handing_over import TEACHER_LOGITS, pack_objects
from limbeck.recipes.inputs import PythonObjects
from limbeck.recipes.reading import read_recipe
from limbeck.training import Silent

TIMES = {"created", "seconds", "energy_kwh", "energy_kind", "kwh", "measured", "passes_saved", "teacher_passes_saved"}


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare_module, "write_comparison_report", Path)


def timeless(content: Any) -> Any:
    """Without what may differ between one worker and several."""
    if isinstance(content, dict):
        return {key: timeless(value) for key, value in content.items() if key not in TIMES}
    return [timeless(item) for item in content] if isinstance(content, list) else content


def students(folder: Path) -> dict[str, bytes]:
    files = [*folder.glob("runs/*/*/student*/*.safetensors"), *folder.glob("runs/*/*/evaluation.json")]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def assert_same(folder: Path, other: Path) -> None:
    first, second = (json.loads((path / "results.json").read_text()) for path in (folder, other))
    assert timeless(first) == timeless(second)
    assert students(folder) == students(other)


class Listening(Silent):
    """Keeps what it hears of each run, with the process in which it hears of a step."""

    def __init__(self, title: str = "", heard: list[tuple[Any, ...]] | None = None) -> None:
        self.title = title
        self.heard: list[tuple[Any, ...]] = [] if heard is None else heard

    def begin(self, title: str, total: int, done: int = 0) -> None:
        self.heard.append((self.title, "begin", title, total))

    def update(self, done: int, note: str = "") -> None:
        self.heard.append((self.title, "update", done, os.getpid()))

    def end(self) -> None:
        self.heard.append((self.title, "end"))

    def say(self, message: str) -> None:
        self.heard.append((self.title, "say", message))

    def beside(self, title: str) -> "Listening":
        return Listening(title, self.heard)

    def close(self, outcome: str = "") -> None:
        self.heard.append((self.title, "close", outcome))


def test_two_workers_make_what_one_makes(finished: Path, tmp_path: Path) -> None:
    progress = Listening()
    arms = {"entropy": {}, "too-fast": {"training": {"learning_rate": 1e9}}}
    recipe = read_recipe(comparison(seeds=[0], arms=arms))
    compare(recipe, tmp_path / "two", workers=2, progress=progress)
    results = compare(recipe, tmp_path / "two", resume=True, workers=2)  # what finished is not repeated
    assert [row["arm"] for row in results["runs"] if row["state"] == "failed"] == ["too-fast"]
    others = [row for row in results["runs"] if row["arm"] != "too-fast"]
    whole = json.loads((finished / "results.json").read_text())
    assert timeless(others) == timeless(whole["runs"])
    two = {name: content for name, content in students(tmp_path / "two").items() if "too-fast" not in name}
    assert two == students(finished)
    titles = {title for title, kind, *_ in progress.heard if kind == "close"}
    assert titles == {f"{row['folder'].split('/')[1]}, seed 0" for row in results["runs"]}
    for title in titles:
        events = [event[1:] for event in progress.heard if event[0] == title]
        assert [event[0] for event in events].count("begin") == [event[0] for event in events].count("end")
        assert events[-1][0] == "close"
    assert any(kind == "close" and "failed: the loss is not" in rest[0] for _, kind, *rest in progress.heard)
    assert (tmp_path / "two" / TEACHER_LOGITS).exists()


def seeded(seed: int) -> Classifier:
    return lb.create("lenet5", num_classes=3, channels=1, input_size=8, seed=seed)


def test_objects_of_python_go_to_workers_or_are_named_before_any_work(tmp_path: Path) -> None:
    images = lb.load("digits", classes=[0, 1, 2])
    teacher = lb.models.untrained(seeded(7))
    objects = {"teacher": teacher, "student": seeded, "train": images, "test": images}
    content = comparison(seeds=[0])
    content["data"]["validation"] = 30
    rows = [lb.compare(content, out=tmp_path / f"{n}", workers=n, **objects)["runs"] for n in (1, 2)]
    assert timeless(rows[0]) == timeless(rows[1])
    assert students(tmp_path / "1") == students(tmp_path / "2")

    class Unsendable:
        def __call__(self, seed: int) -> Classifier:
            return seeded(seed)

        def __reduce__(self) -> Any:
            raise TypeError("it holds a socket")

    with pytest.raises(UserError, match=r"`student` cannot be sent to workers \(TypeError: it holds a socket\); give"):
        lb.compare(content, out=tmp_path / "no", workers=2, **(objects | {"student": Unsendable()}))
    assert not (tmp_path / "no").exists()


def test_what_is_defined_in_the_script_needs_cloudpickle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.workers.packing._CLOUDPICKLE", "no_such_library")

    def mine(seed: int) -> Classifier:
        return seeded(seed)

    mine.__module__, mine.__qualname__ = "__main__", "mine"
    with pytest.raises(UserError, match=r"`student` cannot be sent .*mine is defined in the script itself: put it"):
        pack_objects(PythonObjects(make_student=mine))
    assert pack_objects(PythonObjects(make_student=seeded)).keys() == {"make_student"}


@pytest.mark.parametrize(
    ("workers", "processes", "message"),
    [
        (0, "1", "`workers` must be at least 1, got 0"),
        (-2, "1", "`workers` must be at least 1, got -2"),
        (1, "2", "a comparison cannot be done by 2 processes that share every run.*start without these, and with"),
        (2, "4", "a comparison cannot be done by 4 processes that share every run.*start without these, and with"),
    ],
)
def test_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int, processes: str, message: str) -> None:
    monkeypatch.setenv("WORLD_SIZE", processes)
    with pytest.raises(UserError, match=message):
        compare(read_recipe(comparison()), tmp_path / "no", workers=workers)
    assert not (tmp_path / "no").exists()


def test_a_single_run_has_no_workers(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["run", "cifar10-kd", "--workers", "2", "--out", str(tmp_path / "no")])
    assert result.exit_code == 2
    assert "`--workers` is for comparisons, whose runs go on side by side, and 'cifar10-kd' is one run" in result.stderr


def longer(path: Path) -> Path:
    content = comparison(seeds=[0, 1])
    content["training"] |= {"steps": 150, "checkpoint_seconds": 0}
    path.write_text(yaml.safe_dump(content))
    return path


def start(recipe: Path, folder: Path, workers: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "limbeck", "compare", str(recipe), "--out", str(folder), "--resume"]
    return subprocess.Popen(
        [*command, "--workers", str(workers)], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def wait_for(condition: Callable[[], Any], process: subprocess.Popen[str]) -> Any:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if value := condition():
            return value
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    raise AssertionError("it did not come to that")


def begun(folder: Path, runs: int) -> bool:
    return len([*folder.glob("runs/*/*/checkpoint.safetensors")]) >= runs


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Forks of the one process that imports."""
    return [worker for worker in family(process) if "forkserver" in " ".join(worker.parent().cmdline())]  # pyright: ignore


@pytest.mark.slow
def test_killed_workers_killed_comparisons_and_stopped_ones_come_to_the_same(tmp_path: Path) -> None:
    recipe = longer(tmp_path / "tiny.yaml")
    compare(read_recipe(recipe), tmp_path / "one")
    folder = tmp_path / "two"
    process = start(recipe, folder, 2)
    wait_for(lambda: begun(folder, 2), process)
    killed = workers_of(process)[0]
    killed.kill()
    wait_for(lambda: begun(folder, 4), process)
    seen = {worker.pid for worker in workers_of(process)}
    assert len(seen | {killed.pid}) == 3  # two, and the one that replaced the killed one
    processes = family(process)
    process.kill()
    process.communicate(timeout=60)  # until its workers have left, who share its output
    psutil.wait_procs(processes, timeout=60)
    assert not [child for child in processes if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]

    process = start(recipe, folder, 3)
    wait_for(lambda: begun(folder, 8), process)
    processes = family(process)
    process.send_signal(signal.SIGTERM)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "goes on with" in errors
    psutil.wait_procs(processes, timeout=60)
    assert not [child for child in processes if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    states = [json.loads(path.read_text())["state"] for path in folder.glob("runs/*/*/status.json")]
    assert set(states) == {"finished", "interrupted"}
    compare(read_recipe(recipe), folder, resume=True)
    assert_same(folder, tmp_path / "one")
