"""Arms that generate, beside controls that nobody has to name."""

from typing import Any

import pytest
from tests.recipes.tiny_recipes import comparison

from limbeck.errors import UserError
from limbeck.recipes.plan import PlannedRun, plan
from limbeck.recipes.reading import read_recipe
from limbeck.transfer.generate.settings import GenerateSettings

GENERATE = {"maker": "generate", "method": "fast", "batch_size": 12, "steps_per_round": 4, "warmup_rounds": 0}


def planned(arms: dict[str, Any] | None = None, *, train: bool = True, **changes: Any) -> dict[str, PlannedRun]:
    arms = arms or {"made": {"transfer": GENERATE}}
    content = {**comparison(arms=arms, seeds=[0], **changes), "objective": {"kd": 1.0}}
    if not train:
        content["data"] = {"test": content["data"]["test"]}
        content["teacher"] = "cifar10-resnet20"
    return {run.arm: run for run in plan(read_recipe(content))}


def transfer(run: PlannedRun) -> dict[str, Any]:
    assert run.recipe.transfer is not None
    return run.recipe.transfer.model_dump()


def test_noise_procedural_and_real_images_stand_beside_it_at_the_same_budget() -> None:
    runs = planned()
    assert list(runs) == ["made", "noise", "procedural", "random", "no-teacher", "full", "full-no-teacher"]
    assert {transfer(runs[name])["budget"] for name in ("made", "noise", "procedural", "random")} == {12}
    assert [pool["name"] for pool in transfer(runs["noise"])["pools"]] == ["noise:white"]
    assert [pool["name"] for pool in transfer(runs["procedural"])["pools"]] == ["dead-leaves", "fractals", "shaders"]
    assert transfer(runs["random"])["maker"] == "select"


def test_without_images_of_ones_own_there_are_no_real_ones() -> None:
    assert list(planned(train=False)) == ["made", "noise", "procedural"]


@pytest.mark.parametrize("pool", ["cifar100", {"name": "svhn", "exclude": ["7"]}])
def test_images_of_a_pool_that_is_named_are_borrowed(pool: Any) -> None:
    runs = planned({"made": {"transfer": {**GENERATE, "pool": pool}}}, train=False)
    assert list(runs) == ["made", "noise", "procedural", "borrowed"]
    assert transfer(runs["borrowed"])["pools"][0]["name"] == (pool if isinstance(pool, str) else pool["name"])
    assert transfer(runs["borrowed"])["by"] == "minimal-margin"


def test_beside_selected_images_the_random_ones_are_the_same() -> None:
    arms = {"made": {"transfer": GENERATE}, "entropy": "entropy"}
    runs = planned(arms)
    assert list(runs)[:6] == ["made", "entropy", "noise", "procedural", "random", "balanced-random"]


def test_controls_are_taught_as_the_arm_is() -> None:
    """Where arms differ, as the recipe says; real images as all arms of the recipe."""
    changed = {"transfer": GENERATE, "objective": {"kd": {"weight": 1, "temperature": 9}}, "training": {"steps": 40}}
    runs = planned({"made": changed, "entropy": "entropy"})
    for name in ("made", "noise", "procedural"):
        assert runs[name].recipe.objective == changed["objective"]
        assert runs[name].recipe.training.steps == 40
    assert runs["random"].recipe.training.steps == runs["entropy"].recipe.training.steps == 12
    other = {"transfer": {**GENERATE, "method": "fast-meta"}, "training": {"steps": 24}}
    assert planned({"made": changed, "other": other})["noise"].recipe.training.steps == 12


@pytest.mark.parametrize("budgets", [[60, 5000], ["30/class", "2000/class"]])
def test_more_real_images_than_there_are_are_no_control(budgets: list[Any]) -> None:
    content = {
        **comparison(arms={"made": {"transfer": GENERATE}}, seeds=[0], budgets=budgets),
        "objective": {"kd": 1.0},
    }
    runs = [(run.arm, run.budget_label) for run in plan(read_recipe(content), 400, 3)]
    labels = [run.budget_label for run in plan(read_recipe(content), 400, 3) if run.arm == "made"]
    assert [label for arm, label in runs if arm == "random"] == labels[:1]
    assert [label for arm, label in runs if arm == "noise"] == labels
    assert ("full", "all") in runs


def test_their_names_are_taken() -> None:
    for name in ("noise", "procedural", "borrowed"):
        with pytest.raises(UserError, match=f"the control '{name}' is added by itself"):
            planned({name: {"transfer": GENERATE}})


def test_the_teacher_may_be_asked_as_often_about_other_images() -> None:
    asking = {**GENERATE, "inner_steps": 5, "asked_as_often": True}
    runs = planned({"made": {"transfer": asking}, "more": {"transfer": {**asking, "inner_steps": 7}}})
    names = ["made", "more", "noise", "procedural", "random", "procedural-asked", "random-asked"]
    assert list(runs)[:7] == names
    steps, batch = runs["procedural"].recipe.training.steps, runs["procedural"].recipe.training.batch_size
    assert steps is not None
    expected = steps + -(-12 * 7 // batch)  # a call of 12 images, as the arm has that asks most
    assert runs["procedural-asked"].recipe.training.steps == expected
    assert runs["random-asked"].recipe.training.steps == expected
    assert transfer(runs["procedural-asked"]) == transfer(runs["procedural"])
    assert "procedural-asked" not in planned(), "only where it is wanted"
    assert list(planned({"made": {"transfer": asking}}, train=False)) == [
        "made",
        "noise",
        "procedural",
        "procedural-asked",
    ]
    with pytest.raises(UserError, match="procedural-asked"):
        planned({"procedural-asked": {"transfer": asking}})


def test_passes_that_are_known_before_are_those_that_are_counted() -> None:
    settings = read_recipe(
        {
            "name": "x",
            "data": {"test": "digits"},
            "teacher": "cifar10-resnet20",
            "student": "resnet8",
            "objective": {"kd": 1.0},
            "training": {"steps": 8, "batch_size": 4},
            "transfer": {**GENERATE, "budget": 24, "inner_steps": 3},
        }
    ).transfer
    assert isinstance(settings, GenerateSettings)
    assert settings.passes(10, 8) == 2 * 12 * 3
    contrast = settings.model_copy(update={"losses": settings.losses.model_copy(update={"contrast": 1.0})})
    assert contrast.passes(10, 8) == 2 * settings.passes(10, 8)
    fresh = settings.model_copy(update={"fresh": 2})
    assert fresh.passes(10, 8) == 2 * 12 * (3 + 2), "in every round of the student's steps"
