"""Every arm is set against the control that suits it, and one that repeats a control is that control."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.recipes.tiny_recipes import comparison, objectives

from limbeck.recipes import compare as compare_module
from limbeck.recipes.compare import compare
from limbeck.recipes.controls import Against, set_against
from limbeck.recipes.describe import describe
from limbeck.recipes.plan import PlannedRun, controls_of, plan, transfers_of
from limbeck.recipes.reading import read_recipe
from limbeck.recipes.verbs import write_report
from limbeck.report.sentences import headline
from limbeck.training.run_folder import RunFolder

KD = {"kd": {"weight": 0.9, "temperature": 2}}
ARMS: dict[str, Any] = {
    "classwise": "margin",
    "whole": "entropy-whole",
    "clusters": "k-means",
    "taught": {"select": "random", "objective": KD},
    "balanced": {"select": "balanced-random", "training": {"learning_rate": 0.1}},
    "both": {"select": "margin", "objective": KD, "student": "lenet5"},
}


def against(arms: dict[str, Any]) -> dict[str, Against]:
    compared = read_recipe(comparison(arms=arms)).compare
    assert compared is not None
    parts = ("objective", "student", "training")
    changes = {name: [part for part in parts if getattr(arm, part)] for name, arm in compared.arms.items()}
    return {opponent.arm: opponent for opponent in set_against(transfers_of(compared), controls_of(compared), changes)}


def planned(arms: dict[str, Any], *overrides: str, **how: Any) -> list[PlannedRun]:
    return plan(read_recipe(comparison(arms=arms, seeds=[0]), overrides), **how)


def criterion_of(run: PlannedRun) -> Any:
    assert run.recipe.transfer is not None
    return run.recipe.transfer.model_dump()["criterion"]


def test_arms_are_set_against_images_that_are_spread_as_theirs() -> None:
    opponents = against(ARMS)
    assert {arm: opponent.control for arm, opponent in opponents.items()} == {
        "classwise": "balanced-random",
        "whole": "random",
        "clusters": "random",
        "taught": "random",
        "balanced": "balanced-random",
        "both": "balanced-random",
    }
    assert {arm: opponent.why for arm, opponent in opponents.items()} == {
        "classwise": "both take their images within every class",
        "whole": "both take their images over the whole set",
        "clusters": "both take their images over the whole set",
        "taught": "it has the same images, and another objective",
        "balanced": "it has the same images, and another training",
        "both": "both take their images within every class; it has another objective and student, too",
    }
    assert [arm for arm, opponent in opponents.items() if opponent.same_images] == ["taught", "balanced"]
    assert {opponent.student for arm, opponent in opponents.items() if opponent.control == "balanced-random"} == {
        "no-teacher"
    }
    assert {opponent.student for arm, opponent in opponents.items() if opponent.control == "random"} == {
        "no-teacher-random"
    }


def test_other_makers_arms_are_set_against_the_strictest_of_their_own() -> None:
    pools = {"maker": "borrow", "pools": ["cifar100"]}
    opponents = against(
        {
            "sure": {"transfer": {**pools, "by": "margin"}},
            "any": {"transfer": {**pools, "by": "random"}, "objective": KD},
            "generated": {"transfer": {"maker": "generate"}},
        }
    )
    assert {arm: opponent.control for arm, opponent in opponents.items()} == {
        "sure": "borrowed-balanced-random",
        "any": "borrowed-random",
        "generated": "procedural",
    }
    assert opponents["generated"].why == "it is the strictest of those beside it"


@pytest.mark.parametrize(
    ("arms", "students"),
    [
        ({"a": "margin", "b": "entropy"}, {"no-teacher": "balanced-random"}),
        ({"a": "entropy-whole"}, {"no-teacher-random": "random"}),
        ({"a": "entropy-whole", "b": "margin"}, {"no-teacher-random": "random", "no-teacher": "balanced-random"}),
        ({"a": "random", "b": "margin"}, {"no-teacher": "balanced-random"}),
        ({"a": "random"}, {"no-teacher-random": "random"}),
        ({"a": {"transfer": {"maker": "generate"}}}, {"no-teacher": "random"}),
        (
            {"a": "margin", "b": {"transfer": {"maker": "generate"}}},
            {"no-teacher": "balanced-random"},
        ),
    ],
)
def test_students_without_a_teacher_learn_from_the_same_images(arms: dict[str, Any], students: dict[str, str]) -> None:
    runs = {run.arm: run for run in planned(arms) if run.arm.startswith("no-teacher")}
    assert {name: criterion_of(run) for name, run in runs.items()} == students
    earlier = {run.arm: run for run in planned(arms, suited=False) if run.arm.startswith("no-teacher")}
    assert {name: criterion_of(run) for name, run in earlier.items()} == {"no-teacher": "random"}


REPEATING = {
    "short": "random",
    "alias": {"select": {"score": "random", "allocation": "top-n"}},
    "spelt": {"select": "random", "objective": {"ce": 0.1, "kd": {"weight": 0.9, "temperature": 4.0}}},
    "deduped": {"transfer": {"maker": "select", "criterion": "random", "dedupe": True}},  # as its control is
    "same-rate": {"select": "random", "training": {"learning_rate": 0.05}},
    "same-student": {"select": "random", "student": {"model": "ConvNet_D3", "options": {"width": 4, "norm": "batch"}}},
}
OTHERS = {
    "other-rate": {"select": "random", "training": {"learning_rate": 0.1}},
    "other-student": {"select": "random", "student": "lenet5"},
    "warmer": {"select": "random", "objective": {"ce": 0.1, "kd": {"weight": 0.9, "temperature": 2}}},
    "margin": "margin",
}


@pytest.mark.parametrize("name", [*REPEATING, *OTHERS])
def test_an_arm_that_comes_to_the_same_recipe_repeats_a_control(name: str) -> None:
    runs = planned({"mine": {**REPEATING, **OTHERS}[name]})
    (mine,) = [run for run in runs if run.arm == "mine"]
    assert mine.repeats == ("random" if name in REPEATING else None)
    assert mine.folder == f"runs/{'random' if name in REPEATING else 'mine'}@12-images/seed-0"
    assert not [run for run in planned({"mine": REPEATING["short"]}, suited=False) if run.repeats]


def test_validation_says_which_arms_repeat_a_control() -> None:
    recipe = read_recipe(comparison(arms={"mine": "random", "other": "balanced-random", "third": "margin"}))
    description = describe(recipe)
    assert "the arm 'mine' repeats the control 'random' at 12 images: it is not run, and its numbers" in description
    assert "the arm 'other' repeats the control 'balanced-random' at 12 images" in description
    assert "'third'" not in description
    assert "\n12 runs, 2 seeds of each of:\n  12 images: third, random, " in description
    assert "repeats" not in describe(read_recipe(objectives()))


def test_a_comparison_shows_the_numbers_of_the_control_and_why_arms_have_theirs(
    copied: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare_module, "write_comparison_report", Path)
    folder = copied()
    arms: dict[str, Any] = {"entropy": {}, "mine": "random", "taught": {"select": "random", "objective": KD}}
    results = compare(read_recipe(comparison(seeds=[0], arms=arms)), folder, resume=True)
    assert not (folder / "runs" / "mine@12-images").exists()
    rows = {row["arm"]: row for row in results["table"]}
    assert rows["mine"]["mean"] == rows["random"]["mean"]
    assert (rows["mine"]["repeats"], rows["taught"]["repeats"]) == ("random", None)
    assert [row["state"] for row in results["runs"]] == ["finished"] * len(results["runs"])
    assert {row["arm"]: row["control"] for row in results["against"]} == {
        "entropy": "balanced-random",
        "taught": "random",
    }
    pairs = {(row["arm"], row["against"]) for row in results["differences"]}
    assert pairs == {
        *(("entropy", name) for name in ("balanced-random", "random", "no-teacher", "full")),
        *(("taught", name) for name in ("random", "no-teacher-random", "full")),
    }
    text = headline(results)
    assert "mine repeats random, and its numbers are those" in text
    assert any(f"taught is {words} random" in text for words in ("level with", *(_points(results))))
    page = write_report(folder).read_text()
    assert "What each arm is set against" in page
    assert "it has the same images, and another objective" in page
    assert "repeats random" in page


def _points(results: dict[str, Any]) -> list[str]:
    (row,) = [row for row in results["differences"] if (row["arm"], row["against"]) == ("taught", "random")]
    return [f"{abs(100 * row['mean']):.1f} points {side}" for side in ("above", "below")]


def test_a_comparison_of_an_earlier_version_is_read_and_gone_on_with_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare_module, "write_comparison_report", Path)
    folder = tmp_path / "old"
    recipe = read_recipe(comparison(seeds=[0], arms={"mine": "random"}))
    with monkeypatch.context() as patch:
        patch.setattr(compare_module, "_is_suited", lambda folder: False)
        compare(recipe, folder)
    networks = json.loads((folder / "networks.json").read_text())
    del networks["suited"]
    (folder / "networks.json").write_text(json.dumps(networks))
    results = compare(recipe, folder, resume=True)
    assert "against" not in results
    assert RunFolder(folder / "runs" / "mine@12-images" / "seed-0").finished
    assert {row["folder"] for row in results["runs"] if row["arm"] == "mine"} == {"runs/mine@12-images/seed-0"}
    opponents = {row["against"] for row in results["differences"] if row["arm"] == "mine"}
    assert opponents == {"balanced-random", "random", "no-teacher", "full"}
    (student,) = [row for row in results["controls"] if row["name"] == "no-teacher"]
    assert student["images"] == "random"
