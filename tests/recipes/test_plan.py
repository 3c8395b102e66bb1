"""Arms x budgets x seeds, with the controls that nobody asked for."""

from collections import Counter
from typing import Any

import pytest
from tests.recipes.tiny_recipes import comparison, objectives, one_run

from limbeck.data import load
from limbeck.errors import UserError
from limbeck.plugins import register, unregister
from limbeck.recipes.plan import PlannedRun, far_longer, plan
from limbeck.recipes.reading import read_recipe


def cells(**changes: Any) -> list[PlannedRun]:
    return plan(read_recipe(comparison(**changes)))


def test_controls_stand_beside_every_budget_and_seed() -> None:
    planned = cells(budgets=["50%", 12, "5/class"], arms={"mine": "entropy"}, seeds=[3, 5])
    assert Counter((cell.arm, cell.budget_label) for cell in planned) == {
        (arm, budget): 2
        for budget in ("12 images", "50 %", "5/class")
        for arm in ("mine", "random", "balanced-random", "no-teacher")
    } | {("full", "all"): 2, ("full-no-teacher", "all"): 2}
    assert [cell.recipe.seed for cell in planned] == [3] * 14 + [5] * 14
    assert {cell.arm for cell in planned if not cell.control} == {"mine"}
    assert len({cell.folder for cell in planned}) == len(planned)
    assert {cell.group for cell in planned if cell.arm == "mine"} == {"mine@50%", "mine@12-images", "mine@5-per-class"}


def test_an_arm_has_budgets_of_its_own_and_its_controls_with_it() -> None:
    borrow = {"transfer": {"maker": "borrow", "pools": [{"name": "noise", "images": 60}], "by": "margin"}}
    arms = {
        "mine": "entropy",
        "few": {"select": "margin", "budgets": ["1/class"]},
        "others": {**borrow, "budgets": [40]},
    }
    planned = cells(budgets=[12, 24], arms=arms, seeds=[0])
    by_budget: dict[str, set[str]] = {}
    for cell in planned:
        by_budget.setdefault(cell.budget_label, set()).add(cell.arm)
    selected = {"random", "balanced-random", "no-teacher"}
    assert by_budget == {
        "1/class": {"few", *selected},
        "12 images": {"mine", *selected},
        "24 images": {"mine", *selected},
        "40 images": {"others", "borrowed-random", "borrowed-balanced-random", "no-teacher"},
        "all": {"full", "full-no-teacher"},
    }
    assert "budgets" not in str(planned[0].recipe.model_dump(mode="json"))


def test_controls_with_more_images_than_there_are_stand_only_beside_arms_that_want_them_too() -> None:
    generated = {"transfer": {"maker": "generate", "method": "fast", "batch_size": 50}, "budgets": [5000]}
    planned = cells(budgets=[12], arms={"mine": "entropy", "made": generated}, seeds=[0])
    assert {cell.arm for cell in planned if cell.budget_label == "5000 images"} == {"made", "noise", "procedural"}
    planned = cells(budgets=[12], arms={"mine": {"select": "entropy", "budgets": [5000]}, "made": generated}, seeds=[0])
    assert "random" in {cell.arm for cell in planned if cell.budget_label == "5000 images"}, "to be told with the arm"


def labels(planned: list[PlannedRun]) -> list[str]:
    return list(dict.fromkeys(cell.budget_label for cell in planned))


@pytest.mark.parametrize(
    ("budgets", "images", "classes", "order"),
    [
        # 10 % of 400 are 40 images, 2 of each of ten classes 20.
        (["10%", "2/class", 50], 400, 10, ["2/class", "10 %", "50 images"]),
        # Of 10,000 they are 1,000.
        (["10%", "2/class", 50], 10_000, 10, ["2/class", "50 images", "10 %"]),
        (["10%", "2/class", 50], 10_000, 100, ["50 images", "2/class", "10 %"]),
        ([300, 0.5, 1.0, "1%", "30/class"], 500, 4, ["1 %", "30/class", "50 %", "300 images", "100 %"]),
        (["20%", "3%"], None, None, ["3 %", "20 %"]),
        ([24, 12], None, None, ["12 images", "24 images"]),
    ],
)
def test_budgets_go_up_by_the_images_they_mean(budgets: list, images: int, classes: int, order: list[str]) -> None:
    recipe = read_recipe(comparison(budgets=budgets))
    assert labels(plan(recipe, images, classes)) == [*order, "all"]


def test_size_by_the_catalogue_and_order_as_written_where_it_says_nothing() -> None:
    recipe = comparison(budgets=["10%", 50, "2/class"])
    # Three classes of about 431 digits, less 30 for validation: 40, 50 and 6 images.
    assert labels(plan(read_recipe(recipe))) == ["2/class", "10 %", "50 images", "all"]
    recipe["data"]["train"] = "digits"  # 1,437, less 30: 141, 50 and 20 images
    assert labels(plan(read_recipe(recipe))) == ["2/class", "50 images", "10 %", "all"]
    register("datasets", "bare", lambda split: load("digits", split), splits={"train": 1437})
    sources = (
        {"name": "digits", "label_column": "other"},  # of an unknown number of classes
        {"name": "noise", "images": 500},
        {"name": "bare"},
    )
    try:
        for train in sources:
            recipe["data"]["train"] = train
            assert labels(plan(read_recipe(recipe))) == ["10 %", "50 images", "2/class", "all"]
    finally:
        unregister("datasets", "bare")


def test_every_run_takes_the_same_steps_and_its_own_images() -> None:
    by_arm = {cell.arm: cell.recipe for cell in cells(seeds=[0])}
    assert {recipe.training.steps for recipe in by_arm.values()} == {12}
    criteria = {arm: recipe.transfer and recipe.transfer.model_dump()["criterion"] for arm, recipe in by_arm.items()}
    assert criteria == {
        "entropy": "entropy",
        "random": "random",
        "balanced-random": "balanced-random",
        "no-teacher": "balanced-random",  # as the control that the arm is set against
        "full": None,
        "full-no-teacher": None,
    }
    with_teacher = {arm for arm, recipe in by_arm.items() if recipe.teacher is not None}
    assert with_teacher == {"entropy", "random", "balanced-random", "full"}
    assert by_arm["no-teacher"].resolved_objective() == {"cross_entropy": 1.0}
    assert all(not recipe.latency and recipe.compare is None for recipe in by_arm.values())


def test_arm_changes_what_it_says_and_nothing_else() -> None:
    arm = {"select": "random", "student": "lenet5", "objective": "kd", "training": {"epochs": 3}}
    by_arm = {cell.arm: cell.recipe for cell in cells(arms={"mine": arm}, without_teacher={"learning_rate": 0.5})}
    mine, control = by_arm["mine"], by_arm["random"]
    assert (mine.student.model, mine.objective) == ("lenet5", {"kd": 1.0})
    assert (mine.training.epochs, mine.training.steps) == (3, None)
    assert mine.training.learning_rate == control.training.learning_rate == 0.05
    rates = [by_arm[name].training.learning_rate for name in ("no-teacher-random", "full-no-teacher", "full")]
    assert rates == [0.5, 0.5, 0.05]


def test_what_no_comparison_can_be_made_of() -> None:
    with pytest.raises(UserError, match="the recipe 'tiny' has no `compare` part"):
        plan(read_recipe(one_run()))
    for key, missing in (("teacher", "no `teacher`"), ("data.test", "no `data.test`")):
        with pytest.raises(UserError, match=missing):
            plan(read_recipe(comparison(), [f"{key}=null"]))


def test_without_budgets_all_arms_learn_from_all_images_beside_labels_alone() -> None:
    planned = plan(read_recipe(objectives(seeds=[3, 5], without_teacher={"learning_rate": 0.5})))
    assert [(cell.arm, cell.control, cell.recipe.seed) for cell in planned] == [
        (arm, arm == "full-no-teacher", seed) for seed in (3, 5) for arm in ("kd", "at", "full-no-teacher")
    ]
    assert {cell.budget_label for cell in planned} == {"all"}
    assert [cell.folder for cell in planned[:2]] == ["runs/kd/seed-3", "runs/at/seed-3"]
    assert all(cell.recipe.transfer is None for cell in planned)
    assert [cell.recipe.resolved_objective() for cell in planned[1:3]] == [{"ce": 1, "at": 1000}, {"cross_entropy": 1}]
    assert [cell.recipe.training.learning_rate for cell in planned[1:3]] == [0.05, 0.5]


def test_with_budgets_an_arm_without_criterion_chooses_by_entropy() -> None:
    arms = {"kd": {"objective": "kd"}, "at": {"objective": "at", "select": "random"}}
    transfers = {cell.arm: cell.recipe.transfer for cell in cells(arms=arms)}
    assert [transfer and transfer.model_dump()["criterion"] for transfer in (transfers["kd"], transfers["at"])] == [
        "entropy",
        "random",
    ]


def test_all_the_data_for_the_passes_of_a_handful_is_told() -> None:
    condense = {"maker": "condense", "method": "mtt"}
    content = comparison(budgets=["1/class"], arms={"ten": {"transfer": condense}})
    passes = {"views": "none", "epochs": 500, "batch_size": 10}
    remarks = far_longer(plan(read_recipe({**content, "training": passes})), 50_000, 10)
    assert len(remarks) == 1
    assert remarks[0].startswith("the control 'full' takes 2,500,000 steps, 5,000 times as many as ten@1-per-class: ")
    assert far_longer(plan(read_recipe({**content, "training": passes})), None, None) == []
    assert far_longer(plan(read_recipe({**content, "training": {"steps": 500}})), 50_000, 10) == []
    hundredth = comparison(budgets=["1%"], arms={"mine": "entropy"})
    assert far_longer(plan(read_recipe({**hundredth, "training": passes})), 50_000, 10) == []
