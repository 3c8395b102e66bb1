"""A race: what is decided from run folders that never saw a network, and one comparison that really races."""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.recipes.tiny_recipes import comparison, objectives

import limbeck as lb
from limbeck.errors import UserError
from limbeck.progress import Silent
from limbeck.recipes import compare as compare_module
from limbeck.recipes import run_tasks as run_tasks_module
from limbeck.recipes.compare import compare
from limbeck.recipes.inputs import Inputs
from limbeck.recipes.plan import PlannedRun, plan
from limbeck.recipes.racing import Curve, Race, decisions_of, stand
from limbeck.recipes.racing_settings import RacingSettings
from limbeck.recipes.reading import read_recipe
from limbeck.recipes.results import collect
from limbeck.recipes.run_tasks import Runs, RunTask
from limbeck.recipes.rungs import common_shares, share_rungs
from limbeck.recipes.schema import Recipe
from limbeck.training.run_folder import RunFolder

STEPS = 120
LEVELS = {"good": 0.9, "fair": 0.89, "poor": 0.5, "late": 0.9}
"""Accuracy of an arm at the end; `late` is at 0.3 until half of the steps are done."""


def recipe(arms: Iterable[str] = ("good", "fair", "poor"), **changes: Any) -> Recipe:
    content = comparison(arms=dict.fromkeys(arms, "variance"), **{"seeds": [0, 1, 2], "racing": True, **changes})
    content["training"] = {**content["training"], "steps": STEPS, "validations": 8}
    return read_recipe(content)


def accuracy(one: PlannedRun, share: float) -> float:
    level = LEVELS.get(one.arm, 0.8)
    if one.arm == "late" and share < 0.5:
        return 0.3
    return level - 0.2 * (1 - share) + 0.002 * one.recipe.seed


def pretend(folder: Path, task: RunTask) -> None:
    """Leaves what a run would."""
    planned = task.planned
    run_folder = RunFolder(folder / planned.folder)
    if run_folder.finished:
        raise AssertionError("a finished run is not run again")
    run_folder.path.mkdir(parents=True, exist_ok=True)
    count, share = planned.recipe.training.validations, float(task.until or 1)
    steps = planned.recipe.training.steps or STEPS
    done = round(steps * share)
    accuracies = {round(steps * k / count): accuracy(planned, k / count) for k in range(1, count + 1)}
    lines = [{"kind": "validation", "step": step, "top1": top1} for step, top1 in accuracies.items() if step <= done]
    (run_folder.path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    cost = {"steps": done, "teacher_passes": 10 * done, "seconds": 0.5 * done}
    if task.until is not None:
        run_folder.set_state("paused", step=done, steps=steps, cost=cost)
        return
    run_folder.write("cost.json", {"images": 12, "teaching": cost, "making": {"seconds": 1.0}})
    run_folder.write("evaluation.json", {"last": {"top1": accuracy(planned, 1)}, "chosen": None})
    run_folder.set_state("finished")


def race(
    folder: Path, content: Recipe, do: Callable[[Path, RunTask], None] = pretend, images: int = 1000
) -> list[list[str]]:
    """Runs it all, and gives what each batch asked for, as "arm@budget/seed until"."""
    assert content.compare is not None
    assert content.compare.racing is not None
    folder.mkdir(exist_ok=True)
    batches = []
    for tasks in Race(plan(content), content.compare.racing, folder, images, say=lambda _: None).batches():
        for task in tasks:
            do(folder, task)
        labels = [
            f"{task.planned.group}/{task.planned.recipe.seed}" + (f" {task.until}" if task.until else "")
            for task in tasks
        ]
        batches.append([label for label, task in zip(labels, tasks, strict=True) if not task.planned.control])
    return batches


def results(folder: Path, content: Recipe) -> dict[str, Any]:
    (folder / "networks.json").write_text(json.dumps({"train_images": 400, "train_classes": 3}))
    return collect(folder, content)


def dropped(folder: Path) -> dict[str, str]:
    return {
        f"{row['arm']} {row['at']}": row["why"]["rung"]
        for row in json.loads((folder / "racing.json").read_text())["dropped"]
    }


def test_arms_climb_the_steps_and_the_hopeless_one_stays_behind(tmp_path: Path) -> None:
    batches = race(tmp_path, recipe(budgets=[12, 24]))
    assert [len(batch) for batch in batches] == [18, 12, 12, 12]
    assert batches[0][:3] == ["good@12-images/0 1/4", "fair@12-images/0 1/4", "poor@12-images/0 1/4"]
    assert batches[3][0] == "good@12-images/0"
    assert dropped(tmp_path) == {"poor 12 images": "25 % of the steps", "poor 24 images": "25 % of the steps"}
    assert not any("poor" in label for batch in batches[1:] for label in batch)
    controls = [cell for cell in plan(recipe(budgets=[12, 24])) if cell.control]
    assert all(RunFolder(tmp_path / cell.folder).finished for cell in controls)
    assert race(tmp_path, recipe(budgets=[12, 24])) == [[], [], [], []]


def test_the_doubt_is_shared_by_all_that_could_have_been_the_best(tmp_path: Path) -> None:
    """Three arms at three rungs are 3 x 2 x 3 decisions: 40 points between shares of 35 and 75 % are beyond chance
    from 20 images on, where 2 x 3 decisions would have been content with 15."""
    for images, expected in ((17, []), (21, ["poor 12 images"])):
        folder = tmp_path / str(images)
        race(folder, recipe(), images=images)
        assert list(dropped(folder)) == expected


@pytest.mark.parametrize("arms", [2, 8])
def test_none_of_equal_arms_is_stopped_oftener_than_the_settings_say(arms: int) -> None:
    """Nothing but the seeds is uncertain here, so that no other allowance hides too small a correction."""
    generator, races, wrong = np.random.default_rng(0), 1000, 0
    for _ in range(races):
        noise = 0.8 + 0.01 * generator.normal(size=(arms, 3))
        curves = {
            str(arm): {seed: Curve(100, 100, {100: {"top1": top1}}) for seed, top1 in enumerate(row)}
            for arm, row in enumerate(noise.tolist())
        }
        whole, decisions = Fraction(1), decisions_of(arms, rungs=1)
        found = stand(curves, whole, [whole], RacingSettings(), decisions=decisions, images=10**9)
        wrong += any(standing.stops for standing in found)
    assert wrong / races < 0.07  # 0.05 and three times what chance does to 1,000 races; 0.10 and 0.13 before


def test_results_of_a_race(tmp_path: Path) -> None:
    race(tmp_path, recipe(baseline="good"))
    collected = results(tmp_path, recipe(baseline="good"))
    poor = [row for row in collected["runs"] if row["arm"] == "poor"]
    assert [(row["state"], row["error"], row["last"], row["cost"]) for row in poor] == [
        ("dropped", None, None, None)
    ] * 3
    assert (poor[0]["dropped"]["step"], poor[0]["dropped"]["steps"]) == (30, 120)
    assert {row["arm"] for row in collected["table"]} >= {"good", "fair", "random", "full"}
    assert "poor" not in {row["arm"] for row in [*collected["table"], *collected["differences"]]}
    racing = collected["racing"]
    (row,) = racing["dropped"]
    assert (row["arm"], row["budget"], row["runs"], row["rung"], row["against"]) == (
        "poor",
        "12 images",
        3,
        "25 % of the steps",
        "good",
    )
    assert row["difference"] == pytest.approx(-0.4)
    assert row["low"] < row["difference"] < row["high"] < 0
    assert row["reach"] < 0
    assert racing["rungs"] == ["25 % of the steps", "50 % of the steps", "75 % of the steps"]
    assert racing["saved"]["steps"] == 3 * 90
    assert (racing["saved"]["teacher_passes"], racing["saved"]["seconds"]) == (2700, 135.0)
    assert (racing["spent"]["steps"], racing["spent"]["teacher_passes"]) == (90, 900)
    runs = len(collected["runs"])
    assert racing["share"] == pytest.approx(270 / (runs * 120))
    assert results(tmp_path, recipe(racing=False))["racing"] is None


def test_an_arm_that_catches_up_goes_on(tmp_path: Path) -> None:
    race(tmp_path, recipe(("good", "fair", "late"), racing={"rungs": [0.5, 0.75], "keep": 0.3}))
    assert dropped(tmp_path) == {}


@pytest.mark.parametrize("at", [0, 5, 13, 22, 30])
def test_a_race_that_is_stopped_anywhere_decides_alike(at: int, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    remaining = at

    def stopping(folder: Path, task: RunTask) -> None:
        nonlocal remaining
        if remaining == 0:
            run_folder = RunFolder(folder / task.planned.folder)
            pretend(folder, RunTask(task.planned, Fraction(1, 8)))  # part of the way, short of the rung
            run_folder.set_state("interrupted")
            raise Stop
        remaining -= 1
        pretend(folder, task)

    content = recipe(("good", "fair", "poor", "late"))
    race(tmp_path / "whole", content)
    try:
        race(tmp_path / "stopped", content, stopping)
    except Stop:
        results(tmp_path / "stopped", content)
    race(tmp_path / "stopped", content)
    mine, whole = (results(tmp_path / name, content) for name in ("stopped", "whole"))
    assert {**mine, "created": ""} == {**whole, "created": ""}
    assert (tmp_path / "stopped" / "racing.json").read_text() == (tmp_path / "whole" / "racing.json").read_text()


def test_what_was_decided_stands_until_its_rung_is_decided_again(tmp_path: Path) -> None:
    content = recipe()
    assert content.compare is not None
    assert content.compare.racing is not None
    race(tmp_path, content)
    whole, kept = results(tmp_path, content), (tmp_path / "racing.json").read_text()
    batches = Race(plan(content), content.compare.racing, tmp_path, 1000, say=lambda _: None).batches()
    for _ in range(3):  # stopped before the first rung, and between two
        next(batches)
        assert {**results(tmp_path, content), "created": ""} == {**whole, "created": ""}
        assert (tmp_path / "racing.json").read_text() == kept
    milder = recipe(racing={"rungs": [0.5], "keep": 0.99})
    assert milder.compare is not None
    assert milder.compare.racing is not None
    next(Race(plan(milder), milder.compare.racing, tmp_path, 1000, say=lambda _: None).batches())
    assert dropped(tmp_path) == {}  # that rung no longer exists


def test_seeds_arms_and_budgets_that_are_added_race_as_if_there_from_the_beginning(tmp_path: Path) -> None:
    race(tmp_path / "grown", recipe(seeds=[0, 1]))
    assert dropped(tmp_path / "grown") == {"poor 12 images": "25 % of the steps"}
    larger = recipe(("good", "fair", "poor", "late"), budgets=[12, 24], seeds=[0, 1, 2, 3])
    race(tmp_path / "grown", larger)
    race(tmp_path / "whole", larger)
    mine, whole = (results(tmp_path / name, larger) for name in ("grown", "whole"))
    assert {**mine, "created": ""} == {**whole, "created": ""}
    assert [row["runs"] for row in whole["racing"]["dropped"] if row["arm"] == "poor"] == [4, 4]


def test_switched_off_all_go_on_and_switched_on_what_finished_stays(tmp_path: Path) -> None:
    content = recipe()
    race(tmp_path, content)
    for cell in plan(content):
        if not RunFolder(tmp_path / cell.folder).finished:
            pretend(tmp_path, RunTask(cell))
    collected = results(tmp_path, recipe(racing=None))
    assert (collected["racing"], {row["state"] for row in collected["runs"]}) == (None, {"finished"})
    assert "poor" in {row["arm"] for row in collected["table"]}
    assert race(tmp_path, content) == [[], [], [], []]
    again = results(tmp_path, content)
    assert {row["state"] for row in again["runs"]} == {"finished"}
    assert again["racing"]["dropped"] == []
    assert again["racing"]["saved"]["steps"] == 0
    assert again["table"] == collected["table"]
    shutil.rmtree(tmp_path / "runs" / "poor@12-images" / "seed-1")  # two of its three seeds are there
    race(tmp_path, content)
    refilled = results(tmp_path, content)
    states = {row["seed"]: row["state"] for row in refilled["runs"] if row["arm"] == "poor"}
    assert states == {0: "finished", 1: "dropped", 2: "finished"}
    assert "poor" not in {row["arm"] for row in [*refilled["table"], *refilled["differences"]]}


def test_failed_runs_are_tried_once_and_their_seeds_count_for_no_arm(tmp_path: Path) -> None:
    tried: list[str] = []

    def failing(folder: Path, task: RunTask) -> None:
        if task.planned.arm == "fair" and task.planned.recipe.seed == 1:
            tried.append(task.planned.folder)
            (folder / task.planned.folder).mkdir(parents=True, exist_ok=True)
            RunFolder(folder / task.planned.folder).set_state("failed", "the loss is not finite")
        else:
            pretend(folder, task)

    race(tmp_path, recipe(), failing)
    assert len(tried) == 1
    record = json.loads((tmp_path / "racing.json").read_text())
    assert {row["n"] for row in record["standings"]} == {2}
    assert dropped(tmp_path) == {"poor 12 images": "25 % of the steps"}
    states = {(row["arm"], row["seed"]): row["state"] for row in results(tmp_path, recipe())["runs"]}
    assert states["fair", 1] == "failed"
    assert states["poor", 1] == "dropped"


def test_a_broken_run_of_an_arm_that_stopped_stays_a_failure(tmp_path: Path) -> None:
    def failing(folder: Path, task: RunTask) -> None:
        pretend(folder, task)
        if (task.planned.arm, task.planned.recipe.seed) == ("poor", 2):
            RunFolder(folder / task.planned.folder).set_state("failed", "out of memory")

    race(tmp_path, recipe(), failing)
    states = [row["state"] for row in results(tmp_path, recipe())["runs"] if row["arm"] == "poor"]
    assert states == ["dropped", "dropped", "failed"]


def test_a_ladder_of_seeds(tmp_path: Path) -> None:
    content = recipe(seeds=[3, 1, 4, 5, 9], racing={"by": "seeds", "rungs": [2, 4]})
    batches = race(tmp_path, content)
    assert [len(batch) for batch in batches] == [6, 4, 2]
    assert {label.split("/")[1] for label in batches[0]} == {"3", "1"}  # the first of the recipe
    collected = results(tmp_path, content)
    (row,) = collected["racing"]["dropped"]
    assert (row["arm"], row["rung"], row["n"], row["runs"]) == ("poor", "2 seeds", 2, 3)
    assert collected["racing"]["saved"]["steps"] == 3 * 120
    assert collected["racing"]["saved"]["seconds"] == 3 * 61.0  # including the making of their images
    assert (collected["racing"]["spent"]["steps"], collected["racing"]["spent"]["seconds"]) == (2 * 120, 2 * 61.0)
    assert "poor" not in {row["arm"] for row in collected["table"]}
    assert [row["state"] for row in collected["runs"] if row["arm"] == "poor"] == ["finished"] * 2 + ["dropped"] * 3


def test_a_ladder_of_budgets(tmp_path: Path) -> None:
    content = recipe(budgets=[48, 12, 24], racing="budgets")
    batches = race(tmp_path, content)
    assert [len(batch) for batch in batches] == [9, 6, 6]
    collected = results(tmp_path, content)
    assert {(row["arm"], row["budget"], row["rung"]) for row in collected["racing"]["dropped"]} == {
        ("poor", "24 images", "12 images"),
        ("poor", "48 images", "12 images"),
    }
    assert [row["n"] for row in collected["table"] if row["arm"] == "poor"] == [3]  # at 12 images, where it is complete
    assert collected["racing"]["saved"]["steps"] == 6 * 120


def test_rungs_are_where_all_arms_validate_and_did_before() -> None:
    def shares(validations: list[int], **racing: Any) -> list[str]:
        first = racing.pop("training", {})  # of one arm, which all the others wait for
        arms: dict[str, Any]
        arms = {f"arm{k}": {"select": "variance", "training": {"validations": n}} for k, n in enumerate(validations)}
        arms["arm0"]["training"] |= first
        content = read_recipe(comparison(arms=arms, seeds=[0, 1], racing=racing))
        assert content.compare is not None
        assert content.compare.racing is not None
        return [
            str(share)
            for share in share_rungs(content.compare.racing, [cell for cell in plan(content) if not cell.control])
        ]

    assert shares([5, 5]) == ["2/5", "3/5", "4/5"]
    assert shares([8, 8]) == ["1/4", "1/2", "3/4"]
    assert shares([4, 8]) == ["1/2", "3/4"]
    assert shares([5, 10], rungs=[0.1, 0.9]) == ["2/5"]
    assert shares([4, 5]) == []
    assert shares([3, 3], rungs=[0.1, 0.2]) == ["2/3"]
    assert shares([2, 2]) == []
    assert shares([8, 8], training={"warmup": 0.3}) == ["1/2", "3/4"]
    assert shares([16, 8], training={"warmup": 0.6}) == ["3/4"]
    assert shares([8, 8], training={"schedule": "multi-step", "milestones": [0.6, 0.9]}) == ["3/4"]
    assert shares([8, 8], training={"warmup": 0.9}) == []
    assert common_shares([cell for cell in plan(read_recipe(comparison())) if not cell.control])[-1] == 1


def test_arms_of_other_lengths_are_compared_at_their_own_shares(tmp_path: Path) -> None:
    content = comparison(
        arms={"good": "variance", "fair": {"select": "variance", "training": {"steps": 60}}, "poor": "variance"},
        seeds=[0, 1],
        racing={"rungs": [0.25]},
    )
    content["training"] = {**content["training"], "steps": STEPS, "validations": 8}
    race(tmp_path, read_recipe(content))
    standings = json.loads((tmp_path / "racing.json").read_text())["standings"]
    assert {row["arm"]: round(row["accuracy"], 3) for row in standings} == {"good": 0.751, "fair": 0.741, "poor": 0.351}
    assert RunFolder(tmp_path / "runs" / "poor@12-images" / "seed-0").read("status.json")["step"] == 30


@pytest.mark.parametrize(
    ("racing", "message"),
    [
        ({"by": "images"}, "compare.racing.by: must be 'steps', 'seeds' or 'budgets', got 'images'"),
        ({"keep": 1}, "compare.racing.keep: must be < 1, got 1"),
        ({"keep": True}, "compare.racing.keep: must be a number, got True"),
        ({"confidence": 0.5}, "compare.racing.confidence: must be > 0.5, got 0.5"),
        ({"rungs": [0.5, 0.25]}, r"compare.racing.rungs: must rise, got \[0.5, 0.25\]"),
        ({"rungs": [0.5, 1]}, r"compare.racing: `rungs` must be shares of the steps, > 0 and < 1, got \[0.5, 1.0\]"),
        ({"by": "seeds", "rungs": [1]}, r"compare.racing: `rungs` must be whole numbers of seeds, >= 2, got \[1.0\]"),
        ({"by": "seeds", "rungs": [2.5]}, r"compare.racing: `rungs` must be whole numbers of seeds, >= 2, got \[2.5\]"),
        ({"by": "budgets", "rungs": [12]}, r"compare.racing: `rungs` of `by: budgets` are the budgets themselves"),
        ({"by": "budgets"}, "compare: `racing` needs two `budgets` or more to tell arms apart by, got 1; leave it out"),
        (
            {"by": "seeds"},
            r"compare: `racing` by seeds needs more of them than its first rung, \[3\], got 2; give more",
        ),
        ({"margin": 1}, "compare.racing.margin: unknown key; known here are by, rungs, keep, confidence"),
        (3, "compare.racing: must be true, false, steps, seeds, budgets or a mapping of settings, got 3"),
    ],
)
def test_wrong_settings(racing: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_recipe(comparison(arms={"a": "random", "b": "random"}, racing=racing))


def test_a_ladder_of_budgets_is_the_same_for_all_arms() -> None:
    arms = {"a": "entropy", "b": {"select": "margin", "budgets": [12]}}
    with pytest.raises(UserError, match="`racing` by budgets needs the same ones of all arms, and 'b' has its own"):
        read_recipe(comparison(arms=arms, budgets=[12, 24], racing="budgets"))


def test_one_seed_or_one_arm_cannot_race() -> None:
    with pytest.raises(
        UserError, match="`racing` needs two `seeds` or more to tell arms apart by, got 1; leave it out"
    ):
        read_recipe(comparison(arms={"a": "random", "b": "random"}, seeds=[0], racing=True))
    with pytest.raises(UserError, match="`racing` needs two `arms` or more to tell arms apart by, got 1; leave it out"):
        read_recipe(comparison(racing=True))


@pytest.mark.parametrize(
    ("written", "overrides", "expected"),
    [
        (None, [], None),
        (False, [], None),
        (True, [], ("steps", 0.5)),
        ("budgets", [], ("budgets", 0.5)),
        (None, ["compare.racing=true"], ("steps", 0.5)),
        (True, ["compare.racing=false"], None),
        (None, ["compare.racing.keep=0.3"], ("steps", 0.3)),
        (True, ["compare.racing.keep=0.3"], ("steps", 0.3)),
        ("budgets", ["compare.racing.keep=0.3"], ("budgets", 0.3)),
        ({"by": "budgets"}, ["compare.racing.by=steps", "compare.racing.rungs=[0.5]"], ("steps", 0.5)),
    ],
)
def test_short_forms(written: Any, overrides: list[str], expected: Any) -> None:
    content = comparison(arms={"a": "random", "b": "random"}, budgets=[12, 24])
    content["compare"] |= {} if written is None else {"racing": written}
    compared = read_recipe(content, overrides).compare
    assert compared is not None
    racing = compared.racing
    assert (None if racing is None else (racing.by, racing.keep)) == expected


def test_what_cannot_race_is_said_before_the_teacher_is_trained(tmp_path: Path) -> None:
    for changes, message in (
        ({"data": {"train": "digits", "test": "digits", "validation": 0}}, "needs validation images, for test images"),
        ({"validations": 0}, "needs `training.validations` >= 1 of every arm, got 0; raise it"),
        (
            {"validations": 2},
            r"finds no rung: .* drop .* got `training.validations` 2 and .* \[0.25, 0.5, 0.75\]",
        ),
    ):
        content = objectives(racing=True)
        content["data"] = changes.pop("data", content["data"])
        content["training"] = {**content["training"], **changes}
        with pytest.raises(UserError, match=message):
            compare(read_recipe(content), tmp_path / "new")
        assert not (tmp_path / "new" / "teacher").exists()
        shutil.rmtree(tmp_path / "new")


def test_no_run_that_pauses_seems_to_have_added_those_that_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[tuple[str, int]] = []

    class Counting(Silent):
        def update(self, done: int, note: str = "") -> None:
            events.append(("", done))

    def run_tasks(tasks: list[RunTask], runs: Runs) -> Iterator[RunTask]:
        for task in tasks:
            pretend(tmp_path, task)
            if (task.planned.arm, task.planned.recipe.seed) == ("poor", 2):
                RunFolder(tmp_path / task.planned.folder).set_state("failed", "out of memory")
            events.append((RunFolder(tmp_path / task.planned.folder).state, -1))
            yield task

    monkeypatch.setattr(compare_module, "run_tasks", run_tasks)
    monkeypatch.setattr(compare_module, "write_tables", lambda folder, results: None)
    monkeypatch.setattr(compare_module, "collect", lambda *_: {})
    content = recipe()
    validation = lb.load("digits", classes=[0, 1])
    runs = Runs(tmp_path, Inputs(None, validation, None), Counting(), threads=1)
    compare_module._run_all(content, plan(content), RunFolder(tmp_path), runs)
    counts = [done for _, done in events if done >= 0]
    assert counts == sorted(counts)
    assert counts[-1] == len(plan(content))
    for (state, _), (_, before), (_, after) in zip(events[1:], events, events[2:], strict=False):
        if state == "paused":
            assert before == after


@pytest.fixture(scope="module")
def really(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two arms of three seeds that really race: one learns, one does not."""
    folder = tmp_path_factory.mktemp("race") / "racing"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare_module, "write_comparison_report", Path)
        compare(read_recipe(real()), folder)
    return folder


def real(**changes: Any) -> dict[str, Any]:
    content = objectives(seeds=[0, 1, 2], racing={"confidence": 0.6}, **changes)
    content["training"] = {**content["training"], "steps": 32, "validations": 4, "learning_rate": 0.2}
    content["data"] = {**content["data"], "validation": 100}
    content["objective"] = {"cross_entropy": 1.0}
    content["compare"]["arms"] = {"awake": {}, "asleep": {"training": {"learning_rate": 1e-6}}}
    return content


def student(folder: Path, run: str) -> dict[str, torch.Tensor]:
    return load_file(folder / "runs" / run / "checkpoint.safetensors")


def test_survivors_are_equal_to_the_bit_and_the_dropped_go_on_later(
    really: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare_module, "write_comparison_report", Path)
    raced = json.loads((really / "results.json").read_text())
    assert {row["arm"]: row["state"] for row in raced["runs"]} == {
        "awake": "finished",
        "asleep": "dropped",
        "full-no-teacher": "finished",
    }
    assert RunFolder(really).finished
    whole = compare(read_recipe(real(), ["compare.racing=false"]), tmp_path / "whole")
    assert [row["last"] for row in raced["runs"] if row["arm"] == "awake"] == [
        row["last"] for row in whole["runs"] if row["arm"] == "awake"
    ]
    begun: list[str] = []
    original = run_tasks_module.run

    def run(recipe: Any, where: Path, **rest: Any) -> Any:
        begun.append(where.parent.name)
        return original(recipe, where, **rest)

    monkeypatch.setattr(run_tasks_module, "run", run)
    folder = Path(shutil.copytree(really, tmp_path / "copied"))
    compare(read_recipe(real()), folder, resume=True)
    assert begun == []
    after = compare(read_recipe(real(), ["compare.racing=false"]), folder, resume=True)
    assert begun == ["asleep"] * 3
    assert {row["state"] for row in after["runs"]} == {"finished"}
    for path in ("awake/seed-0", "awake/seed-2", "asleep/seed-1"):
        mine, others = student(folder, path), student(tmp_path / "whole", path)
        assert mine.keys() == others.keys()
        assert all(torch.equal(mine[name], others[name]) for name in mine), path
    scores = [[row["last"] for row in compared["runs"]] for compared in (after, whole)]
    assert scores[0] == scores[1]
