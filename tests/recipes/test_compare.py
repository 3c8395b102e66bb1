"""A comparison: each run once, whatever breaks or stops in between."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tests.recipes.tiny_recipes import comparison, objectives

from limbeck.errors import UserError
from limbeck.recipes import compare as compare_module
from limbeck.recipes import run_tasks as run_tasks_module
from limbeck.recipes import verbs as verbs_module
from limbeck.recipes.compare import compare
from limbeck.recipes.reading import read_recipe
from limbeck.recipes.verbs import write_report
from limbeck.report import write_comparison_report
from limbeck.report.model_card import is_own
from limbeck.training import Silent
from limbeck.transfer.criteria import CONTROLS
from limbeck.transfer.evidence import read_evidence

Copied = Callable[[], Path]


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports take longer than these comparisons; `finished` has one."""
    monkeypatch.setattr(compare_module, "write_comparison_report", Path)


def go(folder: Path, *overrides: str, **changes: Any) -> dict[str, Any]:
    return compare(read_recipe(comparison(seeds=[0], **changes), overrides), folder, resume=folder.exists())


def scores(results: dict[str, Any]) -> dict[str, Any]:
    return {row["folder"]: (row["last"], row["chosen"], row["state"]) for row in results["runs"]}


def test_comparison_folder(finished: Path) -> None:
    results = json.loads((finished / "results.json").read_text())
    assert [row["arm"] for row in results["table"]] == [
        "entropy",
        "random",
        "balanced-random",
        "no-teacher",
        "full",
        "full-no-teacher",
    ]
    assert all(row["state"] == "finished" for row in results["runs"])
    assert {row["images"] for row in results["runs"]} == {12, 400}
    assert (results["train_images"], results["validation_images"], results["test_images"]) == (400, 30, 107)
    assert results["teacher"]["name"] == "convnet_d3"
    assert results["teacher"]["evaluation"]["n"] == 107
    assert (finished / "evidence" / "entropy@12-images" / "summary.json").exists()
    assert "<svg" in (finished / "frontier.svg").read_text()
    page = (finished / "report.html").read_text()
    assert "balanced-random" in page
    assert "Chosen, highest entropy" in page


def test_finished_runs_are_not_repeated_and_new_ones_are_added(copied: Copied, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = copied()
    before = scores(json.loads((folder / "results.json").read_text()))
    started: list[str] = []
    real = run_tasks_module.run

    def run(recipe: Any, where: Path, **rest: Any) -> Any:
        started.append(where.parent.name)
        return real(recipe, where, **rest)

    monkeypatch.setattr(run_tasks_module, "run", run)
    with pytest.raises(UserError, match=r"holds a run already \(finished\)"):
        compare(read_recipe(comparison(seeds=[0])), folder)
    assert scores(go(folder)) == before
    assert started == []
    after = scores(go(folder, budgets=[12, 24], arms={"entropy": {}, "mine": "variance"}))
    assert {name: after[name] for name in before} == before
    new = ["mine@12-images", *(f"{arm}@24-images" for arm in ("entropy", "mine", *CONTROLS, "no-teacher"))]
    assert sorted(started) == sorted(new)
    started.clear()
    with pytest.warns(UserWarning, match=r"in no table .* mine@12-images seed 0, mine@24-images seed 0"):
        go(folder, "compare.seeds=[0, 1]")
    assert len(started) == 6


def test_finished_runs_that_the_recipe_no_longer_has_are_told(copied: Copied) -> None:
    folder = copied()
    go(folder, "compare.seeds=[0, 1]")
    message = r"^finished runs in '.*' will be in no table .* seeds: balanced-random@12.* seed 1, .* to have them back"
    with pytest.warns(UserWarning, match=message):
        assert {row["seed"] for row in go(folder)["runs"]} == {0}


def test_objectives_on_all_the_data_and_a_later_arm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare_module, "write_comparison_report", write_comparison_report)
    folder = tmp_path / "objectives"
    content = objectives(seeds=[0])
    compare(read_recipe(content), folder)
    content["compare"]["arms"]["dkd"] = {"objective": "dkd"}
    results = compare(read_recipe(content, ["compare.baseline=kd"]), folder, resume=True)
    assert [(row["arm"], row["images"]) for row in results["table"]] == [
        ("kd", 400),
        ("at", 400),
        ("dkd", 400),
        ("full-no-teacher", 400),
    ]
    assert not (folder / "evidence").exists()
    assert "<svg" in (folder / "arms.svg").read_text()
    page = (folder / "report.html").read_text()
    for words in (
        "at is ",
        " kd with a single seed",
        "full data without teacher",
        "Controls, which nobody has to ask for: full data without teacher.",
    ):
        assert words in page, words
    for words in (" at all", "Budget</th>", "random images at each budget"):
        assert words not in page, words


def test_what_holds_runs_already_may_not_change(copied: Copied) -> None:
    folder = copied()
    recipe = (folder / "recipe.yaml").read_text()
    for change in ("training.momentum=0.8", "compare.without_teacher.learning_rate=0.1", "compare.arms.entropy=random"):
        with pytest.raises(UserError, match=r"holds runs of another recipe: runs/.*give a changed arm another name"):
            go(folder, change)
    with pytest.raises(
        UserError, match=r"holds runs of .* defaults .* what was then is training\.channels_last=\"auto\"\.$"
    ):
        go(folder, "training.channels_last=true")
    with pytest.raises(UserError, match=r"was started from another recipe; .*`seed` \(0 then, 1 now\)"):
        go(folder, "seed=1")
    assert (folder / "recipe.yaml").read_text() == recipe


def test_comparison_of_an_earlier_version_resumes(copied: Copied) -> None:
    folder = copied()
    for path in folder.rglob("recipe.yaml"):
        content = yaml.safe_load(path.read_text())
        del content["device"], content["training"]["compile"]
        content.get("compare", {}).pop("baseline", None)
        path.write_text(yaml.safe_dump(content))
    go(folder)


BROKEN = {
    "too-fast": {"training": {"learning_rate": 1e9}},
    "four-classes": {"student": {"model": "lenet5", "num_classes": 4}},
    "other-weights": {"student": {"weights": "nowhere/at-all"}},
}


def test_all_finished_runs_have_model_cards(copied: Copied, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("write_comparison_report", "write_run_report"):  # which take their time
        monkeypatch.setattr(verbs_module, name, lambda folder: folder / "report.html")
    folder = copied()
    runs = [row for row in json.loads((folder / "results.json").read_text())["runs"] if row["state"] == "finished"]
    cards = [folder / row["folder"] / "README.md" for row in runs]
    assert all(is_own(card.read_text()) for card in [*cards, folder / "teacher" / "README.md"])
    mine, other = cards[:2]
    mine.write_text("# Mine")
    other.unlink()
    write_report(folder)
    assert mine.read_text() == "# Mine"
    assert is_own(other.read_text())
    other.unlink()
    write_report(other.parent)
    assert is_own(other.read_text())


def test_broken_arms_are_reported_and_the_others_go_on(copied: Copied, monkeypatch: pytest.MonkeyPatch) -> None:
    real = run_tasks_module.run

    def run(recipe: Any, folder: Path, **rest: Any) -> Any:
        if "crashing" in str(folder):
            raise RuntimeError("Kernel size can't be greater than actual input size")
        return real(recipe, folder, **rest)

    monkeypatch.setattr(run_tasks_module, "run", run)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    messages: list[str] = []

    class Listening(Silent):
        def __init__(self, title: str = "") -> None:
            self.title = title

        def beside(self, title: str) -> Silent:
            return Listening(title)

        def close(self, outcome: str = "") -> None:
            messages.append(f"{self.title}: {outcome}")

    folder = copied()
    recipe = read_recipe(comparison(seeds=[0], arms={**BROKEN, "entropy": {}, "crashing": {}, "last": "variance"}))
    results = compare(recipe, folder, resume=True, progress=Listening())
    runs = {row["arm"]: row for row in results["runs"]}
    assert "the loss is not finite at step" in runs["too-fast"]["error"]
    assert "got 3 of convnet_d3 and 4 of lenet5" in runs["four-classes"]["error"]
    assert runs["other-weights"]["error"].startswith("no classifier at 'nowhere/at-all': no such folder or file, and")
    assert {arm for arm, row in runs.items() if row["state"] == "failed"} == set(BROKEN)
    assert runs["crashing"]["state"] == "missing"
    assert runs["last"]["state"] == "finished"
    crashed = "crashing@12-images, seed 0: failed: RuntimeError: Kernel size can't be greater than actual input size ("
    assert any(line.startswith(crashed) for line in messages)
    assert any(line.startswith("last@12-images, seed 0: ") for line in messages)
    assert {row["arm"] for row in results["table"]} == set(runs) - set(BROKEN) - {"crashing"}
    with pytest.warns(UserWarning, match="in no table .*: last@12-images seed 0"):
        mended = go(folder, arms={**{name: {} for name in BROKEN}, "entropy": {}})
    assert all(row["state"] == "finished" for row in mended["runs"])
    assert [path.name for path in folder.glob("runs/*/*-failed-*")] == ["seed-0-failed-1"]


def test_evidence_of_a_broken_arm_is_not_that_of_the_mended_one(copied: Copied) -> None:
    folder = copied()
    go(folder, arms={"mine": {"select": "random", "training": {"learning_rate": 1e9}}, "entropy": {}})
    assert read_evidence(folder / "evidence" / "mine@12-images") is None
    with pytest.warns(UserWarning, match="in no table .*: no-teacher-random@12-images seed 0"):  # of the broken one
        go(folder, arms={"mine": "variance", "entropy": {}})
    evidence = read_evidence(folder / "evidence" / "mine@12-images")
    assert evidence is not None
    assert "chosen by variance" in evidence.headline


def test_budgets_of_several_kinds_run_and_stand_in_order_of_their_images(tmp_path: Path) -> None:
    results = go(tmp_path / "new", budgets=["10%", 30, "2/class"], arms={"mine": "random"})
    order = ["2/class", "30 images", "10 %", "all"]  # 6, 30 and 40 images of 400 in three classes
    assert list(dict.fromkeys(row["budget"] for row in results["runs"])) == order
    assert list(dict.fromkeys(row["budget"] for row in results["table"])) == order
    assert results["train_classes"] == 3


def test_wrong_budgets_are_all_said_before_the_teacher_is_trained(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"(?s)each of the 3 classes.*got 2 images.*at most the 400 images.*got 401"):
        go(tmp_path / "new", budgets=[2, 12, 401])
    assert not (tmp_path / "new" / "teacher").exists()
    with pytest.raises(UserError, match="the student convnet_d3 tells 4 classes apart"):
        go(tmp_path / "new", "student.num_classes=4")


def test_report_of_a_comparison_that_is_not_over(copied: Copied, tmp_path: Path) -> None:
    folder = copied()
    for name in ("results.json", "report.html", "runs/full/seed-0/status.json"):
        (folder / name).unlink()
    assert write_report(folder).read_text().count("1 of 6 runs did not finish")
    assert {row["state"] for row in json.loads((folder / "results.json").read_text())["runs"]} == {
        "finished",
        "missing",
    }
    for path in folder.glob("runs/*/*/status.json"):
        path.unlink()
    assert write_report(folder).exists()
    (folder / "networks.json").unlink()
    with pytest.raises(UserError, match="has not begun its first run yet; go on with --resume"):
        write_report(folder)
    with pytest.raises(UserError, match="holds neither a run nor a comparison"):
        write_report(tmp_path)
    with pytest.raises(UserError, match=r"there is no folder '.*nothing' to report of"):
        write_report(tmp_path / "nothing")


def start(recipe: Path, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "limbeck", "compare", str(recipe), "--out", str(folder), "--resume"]
    threads = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    return subprocess.Popen(command, env=threads, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def stop(process: subprocess.Popen[str], folder: Path, *, runs: int, number: signal.Signals) -> str:
    """Sends a signal once that many runs have a checkpoint, the last of them in its middle."""
    deadline = time.monotonic() + 120
    while len([*folder.glob("runs/*/*/checkpoint.safetensors")]) < runs and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(number)
    return process.communicate(timeout=60)[1]


def test_comparison_stopped_twice_comes_to_the_same_results(tmp_path: Path) -> None:
    content = comparison(seeds=[0])
    content["training"] |= {"steps": 60, "checkpoint_seconds": 0}
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(yaml.safe_dump(content))
    whole = compare(read_recipe(recipe), tmp_path / "whole")
    folder = tmp_path / "stopped"
    stop(start(recipe, folder), folder, runs=2, number=signal.SIGKILL)
    again = start(recipe, folder)
    errors = stop(again, folder, runs=4, number=signal.SIGINT)
    assert again.returncode == 130
    assert f"the same command with --resume goes on with {folder}" in errors
    rows = json.loads((folder / "results.json").read_text())["runs"]
    assert 0 < sum(row["state"] == "finished" for row in rows) < len(rows)
    resumed = compare(read_recipe(recipe), folder, resume=True)
    assert scores(resumed) == scores(whole)
    assert [row["mean"] for row in resumed["table"]] == [row["mean"] for row in whole["table"]]
    passes = [[row["cost"]["teacher_passes"] for row in results["runs"]] for results in (resumed, whole)]
    assert passes[0] == passes[1]
