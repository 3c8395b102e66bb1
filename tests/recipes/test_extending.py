"""Runs that go on for longer than they were begun for equal those begun longer, to the bit, or are refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image
from safetensors.torch import load_file
from tests.recipes.tiny_recipes import comparison, one_run, training
from tests.training.stopping import stop_at

from limbeck.errors import UserError
from limbeck.progress import Silent
from limbeck.recipes import compare as compare_module
from limbeck.recipes.compare import compare
from limbeck.recipes.reading import read_recipe
from limbeck.recipes.results import collect
from limbeck.recipes.run import run
from limbeck.recipes.run_result import read_run
from limbeck.testing.images import natural
from limbeck.training import Interrupted, RunFolder
from limbeck.training.checkpoint import Checkpoint

STABLE = {"schedule": "warmup-stable-decay", "warmup": 2, "cooldown": 4}


class Listening(Silent):
    def __init__(self) -> None:
        self.heard: list[str] = []

    def say(self, message: str) -> None:
        self.heard.append(message)


def content(**changes: Any) -> dict[str, Any]:
    """From labels alone, which is quickest."""
    recipe = training()
    recipe["training"] |= {"schedule": "constant", **changes}
    return recipe


def go(folder: Path, recipe: dict[str, Any], *overrides: str, **how: Any) -> list[str]:
    """The messages of the run."""
    progress = Listening()
    run(read_recipe(recipe, overrides), folder, progress=progress, **how)
    return progress.heard


def same(folder: Path, other: Path, *names: str) -> bool:
    files = [f"{name}/model.safetensors" for name in names or ("student", "student-chosen")]
    return all((folder / file).read_bytes() == (other / file).read_bytes() for file in files)


def test_a_finished_run_at_a_constant_rate_goes_on_to_the_same_student(tmp_path: Path) -> None:
    recipe = content()
    go(tmp_path / "run", recipe)
    early = (tmp_path / "run" / "student" / "model.safetensors").read_bytes()
    messages = go(tmp_path / "run", recipe, "training.steps=24", "training.validations=4", resume=True)
    go(tmp_path / "whole", recipe, "training.steps=24", "training.validations=4")
    assert same(tmp_path / "run", tmp_path / "whole")
    judged = [json.loads((tmp_path / name / "evaluation.json").read_text()) for name in ("run", "whole")]
    assert judged[0] == judged[1]
    assert not [message for message in messages if "validate" in message]
    rows = [row["step"] for row in RunFolder(tmp_path / "run").metrics() if row["kind"] == "train"]
    assert rows == [*range(1, 25)]
    kept = tmp_path / "run" / "after-12-steps"
    assert (kept / "student" / "model.safetensors").read_bytes() == early
    before = read_run(kept)
    assert before.cost["student_steps"] == 12
    assert yaml.safe_load((kept / "recipe.yaml").read_text())["training"]["steps"] == 12
    assert yaml.safe_load((tmp_path / "run" / "recipe.yaml").read_text())["training"]["steps"] == 24
    with pytest.raises(UserError, match=r"begun for 24 steps and can go on for more, got 12; set `training"):
        go(tmp_path / "run", recipe, resume=True)


@pytest.mark.parametrize("changes", [{}, {"optimizer": "adamw", "learning_rate": 0.01, "warmup": 3}])
def test_a_stopped_run_with_a_teacher_goes_on(changes: dict[str, Any], tmp_path: Path) -> None:
    recipe = one_run()
    recipe["training"] |= {"schedule": "constant", **changes}
    with pytest.MonkeyPatch.context() as patch:
        go(tmp_path / "whole", recipe, "training.steps=24", "training.validations=0")
        recipe["teacher"] = str(tmp_path / "whole" / "teacher")
        go(tmp_path / "named", recipe, "training.steps=24", "training.validations=0")
        stop_at(7, patch)
        with pytest.raises(Interrupted):
            go(tmp_path / "run", recipe, "training.validations=0")
    go(tmp_path / "run", recipe, "training.steps=24", "training.validations=0", resume=True)
    assert same(tmp_path / "run", tmp_path / "named", "student")
    assert not (tmp_path / "run" / "after-12-steps").exists()


def test_epochs_go_on_and_become_steps(tmp_path: Path) -> None:
    recipe = content(epochs=0.5, steps=None)  # 387 images of 16 a step: 13 steps
    go(tmp_path / "run", recipe, "training.validations=0")
    go(tmp_path / "run", recipe, "training.epochs=0.75", "training.validations=0", resume=True)
    go(tmp_path / "whole", recipe, "training.epochs=0.75", "training.validations=0")
    assert same(tmp_path / "run", tmp_path / "whole", "student")
    assert (tmp_path / "run" / "after-13-steps").is_dir()
    go(tmp_path / "run", recipe, "training.steps=21", "training.validations=0", resume=True)
    assert (tmp_path / "run" / "after-19-steps").is_dir()


@pytest.mark.parametrize("stopped", [None, 5, 10])
def test_warmup_stable_decay_goes_on_from_its_stable_part(stopped: int | None, tmp_path: Path) -> None:
    recipe = content(**STABLE)
    if stopped is None:
        go(tmp_path / "run", recipe)
        assert Checkpoint.load(RunFolder(tmp_path / "run").stable_checkpoint).step == 8
    else:
        with pytest.MonkeyPatch.context() as patch:
            stop_at(stopped, patch)
            with pytest.raises(Interrupted):
                go(tmp_path / "run", recipe)
    longer = ("training.steps=24", "training.validations=4")
    go(tmp_path / "run", recipe, *longer, resume=True)
    go(tmp_path / "whole", recipe, *longer)
    assert same(tmp_path / "run", tmp_path / "whole")
    rates = [
        [(row["step"], row["learning_rate"]) for row in RunFolder(tmp_path / name).metrics() if row["kind"] == "train"]
        for name in ("run", "whole")
    ]
    assert rates[0] == rates[1]
    assert [rate for _, rate in rates[0]] == pytest.approx([0.025, *[0.05] * 20, 0.0375, 0.025, 0.0125])


def test_a_constant_run_may_cool_down_at_its_end(tmp_path: Path) -> None:
    recipe = content()
    go(tmp_path / "run", recipe, "training.validations=0")
    cooled = (
        "training.steps=16",
        "training.schedule=warmup-stable-decay",
        "training.cooldown=4",
        "training.validations=0",
    )
    go(tmp_path / "run", recipe, *cooled, resume=True)
    go(tmp_path / "whole", recipe, *cooled)
    assert same(tmp_path / "run", tmp_path / "whole", "student")


def test_where_it_did_not_validate_as_a_longer_run_is_said(tmp_path: Path) -> None:
    recipe = content()
    go(tmp_path / "run", recipe)
    messages = go(tmp_path / "run", recipe, "training.steps=24", resume=True)
    assert any("may not be; with -s training.validations=4 it would be" in message for message in messages)
    go(tmp_path / "whole", recipe, "training.steps=24")
    assert same(tmp_path / "run", tmp_path / "whole", "student")


REFUSED = {
    "cosine": (
        {"schedule": "cosine"},
        r"learning rate of step 2 was 0\.04\d+ and would have been 0\.0\d+ .*cosine` hangs",
    ),
    "multi-step": ({"schedule": "multi-step"}, r"step 9 was 0\.005 and would have been 0\.05 .*begin a new run"),
    "warm-up": ({"warmup": 0.25}, r"whose warm-up is a share of the steps; add -s training\.warmup=3, which it was\."),
    "decay begun": ({**STABLE, "checkpoint_seconds": 0}, None),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_hangs_on_the_number_of_steps_is_refused_before_anything_changes(name: str, tmp_path: Path) -> None:
    changes, message = REFUSED[name]
    folder, recipe = tmp_path / "run", content(**changes)
    go(folder, recipe)
    if message is None:
        RunFolder(folder).stable_checkpoint.unlink()
        message = r"step 10 was 0\.0375 and would have been 0\.05 in a run of 24, as .*warmup-stable-decay` hangs"
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if path.name != ".lock"}
    with pytest.raises(UserError, match=rf"cannot go on beyond 12 steps: .*{message}"):
        go(folder, recipe, "training.steps=24", resume=True)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if path.name != ".lock"} == before
    assert read_run(folder).cost["student_steps"] == 12


def write_classes(folder: Path, *, seed: int = 0) -> None:
    """Two classes of 24 images each."""
    images = natural(48, size=8, classes=2, seed=seed)
    for name in "ab":
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number, pixels in enumerate(images.tensor()):
        Image.fromarray(pixels[0].numpy()).save(folder / "ab"[number % 2] / f"{number}.png")


@pytest.mark.parametrize("missing", [False, True])
def test_a_run_that_cannot_go_on_keeps_all_that_it_has(missing: bool, tmp_path: Path) -> None:
    folder, recipe, photos = tmp_path / "run", content(), tmp_path / "photos"
    recipe["data"] = {"train": str(photos), "validation": 8}
    write_classes(photos)
    go(folder, recipe)
    if missing:
        shutil.rmtree(photos)
    else:
        write_classes(photos, seed=1)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.name != ".lock"}
    with pytest.raises(UserError, match="photos" if missing else "what the recipe names is not what the run"):
        go(folder, recipe, "training.steps=24", resume=True)
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.name != ".lock"}
    assert after == before
    assert read_run(folder).cost["student_steps"] == 12
    write_classes(photos)
    said = go(folder, recipe, resume=True)
    assert said == [f"the run in '{folder}' is finished already: nothing was run, these are its results"]
    go(folder, recipe, "training.steps=24", resume=True)
    assert read_run(folder).cost["student_steps"] == 24
    assert (folder / "after-12-steps" / "student").is_dir()


def test_a_warm_up_in_steps_that_it_was_is_taken(tmp_path: Path) -> None:
    recipe = content(warmup=0.25)
    go(tmp_path / "run", recipe)
    go(tmp_path / "run", recipe, "training.steps=24", "training.warmup=3", "training.validations=4", resume=True)
    go(tmp_path / "whole", recipe, "training.steps=24", "training.warmup=3", "training.validations=4")
    assert same(tmp_path / "run", tmp_path / "whole")


def test_objectives_that_read_the_share_done_and_those_that_prepare_are_refused(tmp_path: Path) -> None:
    for objective, message in (
        ("dkd", "the objective dkd weighs its loss by the share of the steps that are done"),
        ({"ce": 1, "ab": 1}, r"its preparing phase is a share of the steps"),
    ):
        recipe = one_run(objective=objective)
        recipe["training"] |= {"schedule": "constant"}
        folder = tmp_path / message[4:13].replace(" ", "-")
        go(folder, recipe)
        with pytest.raises(UserError, match=message):
            go(folder, recipe, "training.steps=24", resume=True)


def test_other_changes_beside_the_length_are_refused(tmp_path: Path) -> None:
    go(tmp_path / "run", content())
    for change in ("training.learning_rate=0.1", "training.views=pad-crop", "seed=1"):
        with pytest.raises(UserError, match="was started from another recipe"):
            go(tmp_path / "run", content(), "training.steps=24", change, resume=True)
    (tmp_path / "run" / "checkpoint.safetensors").unlink()
    with pytest.raises(UserError, match=r"its checkpoint\.safetensors is gone"):
        go(tmp_path / "run", content(), "training.steps=24", resume=True)


def test_a_run_that_has_done_nothing_begins_with_the_new_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = content(schedule="cosine")

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("limbeck.recipes.run.fit", stop)
        with pytest.raises(KeyboardInterrupt):
            go(tmp_path / "run", recipe)
    go(tmp_path / "run", recipe, "training.steps=24", resume=True)
    go(tmp_path / "whole", recipe, "training.steps=24")
    assert same(tmp_path / "run", tmp_path / "whole")


@pytest.fixture
def comparing(monkeypatch: pytest.MonkeyPatch, finished: Path) -> Callable[..., dict[str, Any]]:
    """A comparison with a teacher that exists already, at a constant rate unless `changes` say otherwise."""
    monkeypatch.setattr(compare_module, "write_comparison_report", Path)

    def run_comparison(folder: Path, *overrides: str, resume: bool = False, **changes: Any) -> dict[str, Any]:
        recipe = comparison(**{"seeds": [0], **changes})
        recipe["teacher"] = str(finished / "teacher")
        recipe["training"] |= {"schedule": "constant", "validations": 0}
        return compare(read_recipe(recipe, overrides), folder, resume=resume)

    return run_comparison


def means(results: dict[str, Any]) -> dict[tuple[str, str], float]:
    return {(row["arm"], row["budget"]): row["mean"] for row in results["table"]}


def test_all_runs_of_a_comparison_go_on(comparing: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    arms = {"entropy": {}, "short": {"select": "variance", "training": {"steps": 6}}}
    first = comparing(tmp_path / "run", arms=arms)
    tables = {name: (tmp_path / "run" / name).read_text() for name in ("results.csv", "summary.csv", "results.tex")}
    longer = ("training.steps=24",)
    results = comparing(tmp_path / "run", *longer, arms=arms, resume=True)
    whole = comparing(tmp_path / "whole", *longer, arms=arms)
    assert means(results) == means(whole)
    assert {(row["arm"], row["cost"]["student_steps"]) for row in results["runs"]} == {
        (row["arm"], 6 if row["arm"] == "short" else 24) for row in whole["runs"]
    }
    kept = json.loads((tmp_path / "run" / "before-extension-1" / "results.json").read_text())
    assert means(kept) == means(first)
    assert {name: (tmp_path / "run" / "before-extension-1" / name).read_text() for name in tables} == tables
    only = comparing(tmp_path / "run", *longer, "compare.arms.short.training.steps=8", arms=arms, resume=True)
    assert [row["cost"]["student_steps"] for row in only["runs"] if row["arm"] == "short"] == [8]


def test_a_comparison_never_mixes_lengths(comparing: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    arms = {"entropy": {}, "falling": {"select": "variance", "training": {"schedule": "cosine"}}}
    folder = tmp_path / "run"
    comparing(folder, arms=arms)
    before = (folder / "recipe.yaml").read_text()
    with pytest.raises(UserError, match=r"1 of 7 runs in .* cannot go on for longer, .* none does: .*falling@12"):
        comparing(folder, "training.steps=24", arms=arms, resume=True)
    assert (folder / "recipe.yaml").read_text() == before
    constant = {"entropy": {}, "other": {"select": "variance"}}
    with pytest.raises(UserError, match=r"cannot go on for longer while they race.*-s compare\.racing=null"):
        comparing(folder, "training.steps=24", "compare.seeds=[0, 1]", racing=True, arms=constant, resume=True)
    # A run whose recipe is longer now, and which has not gone on yet, is none of the results.
    recipe = read_recipe(yaml.safe_load(before), ["training.steps=24"])
    assert {row["state"] for row in collect(folder, recipe)["runs"]} == {"interrupted"}
    assert collect(folder, recipe)["table"] == []
    assert load_file(folder / "runs" / "full" / "seed-0" / "student" / "model.safetensors")
