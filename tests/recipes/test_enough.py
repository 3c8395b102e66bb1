"""How little is enough, from rows of results that never saw a network."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.recipes.test_results import RECIPE, status, write
from tests.recipes.tiny_recipes import comparison, objectives

from limbeck.errors import UserError
from limbeck.recipes.enough import enough
from limbeck.recipes.plan import plan
from limbeck.recipes.reading import read_recipe
from limbeck.recipes.results import collect

Row = dict[str, Any]
FULL = {0: 0.90, 1: 0.91, 2: 0.90}
NOISE = (0.0, 0.002, -0.001)


def rows(levels: Mapping[str, Mapping[int, float]], *, full: Mapping[int, float] = FULL) -> list[Row]:
    """Finished runs: arm -> images -> mean accuracy over three seeds, and the full data."""
    runs = [
        run(arm, f"{images} images", images, seed, level + NOISE[seed] + full.get(seed, 0.9) - 0.9)
        for arm, curve in levels.items()
        for images, level in curve.items()
        for seed in range(3)
    ]
    return runs + [run("full", "all", 4000, seed, value) for seed, value in full.items()]


def run(arm: str, budget: str, images: int, seed: int, last: float | None) -> Row:
    fields = {"arm": arm, "control": arm in ("random", "full"), "budget": budget, "images": images, "seed": seed}
    return {**fields, "state": "finished", "last": last}


def table(runs: list[Row]) -> list[Row]:
    cells = {(row["arm"], row["budget"]): row for row in runs}
    return [{**row, "teacher_passes": 10 * row["images"], "seconds": 2.0, "energy_kwh": 0.0} for row in cells.values()]


def answer(runs: list[Row], margin: float = 0.01, teacher: float | None = 0.95, resolution: float = 1e-4) -> Row:
    result = enough(runs, table(runs), margin, teacher, resolution=resolution)
    assert result is not None
    return result


CURVES = {"entropy": {100: 0.8, 400: 0.85}, "random": {100: 0.84, 400: 0.94}}


def test_every_arm_has_its_images_and_costs() -> None:
    result = answer(rows(CURVES))
    assert result["reference"] == {"name": "full", "mean": pytest.approx(2.71 / 3), "images": 4000, "n": 3}
    entropy, random = result["arms"]
    assert (entropy["arm"], entropy["control"], random["control"]) == ("entropy", False, True)
    assert (entropy["images"], entropy["low"], entropy["high"], entropy["seeds_needed"]) == (None, 400, None, None)
    assert entropy["costs"]["images"] is None
    assert entropy["costs"]["low"]["teacher_passes"] == 4000
    assert random["low"] < random["images"] < random["high"]
    assert random["images"] == 200  # 0.497 of the way to 400 in log images, rounded up
    assert random["costs"]["images"]["teacher_passes"] == pytest.approx(2500, abs=1)
    assert random["costs"]["low"]["teacher_passes"] < 2500 < random["costs"]["high"]["teacher_passes"]


def test_the_arm_that_needs_the_fewest_is_set_against_the_others() -> None:
    fewest = answer(rows({**CURVES, "margin": {100: 0.839, 400: 0.9401}}))["fewest"]
    assert (fewest["arm"], fewest["tests"]) == ("random", 3)
    against = {row["arm"]: row for row in fewest["against"]}
    assert against["entropy"]["beyond_noise"]
    assert against["entropy"]["mean"] == pytest.approx(0.065, abs=1e-3)
    assert against["entropy"]["seeds_needed"] is None
    assert against["margin"]["mean"] == pytest.approx(0.0005, abs=1e-4)


def test_seeds_that_tie_are_as_uncertain_as_whole_test_images_leave_them() -> None:
    """The noise is the same for both arms, so that their differences tie."""
    fine, coarse = (answer(rows(CURVES, full=dict.fromkeys(range(3), 0.9)), resolution=1 / n) for n in (10_000, 12))
    assert [row["fewest"]["against"][0]["beyond_noise"] for row in (fine, coarse)] == [True, False]
    spans = [(row["low"] or 0, row["high"] or 1000) for row in (found["arms"][1] for found in (fine, coarse))]
    assert spans[1][0] < spans[0][0] < spans[0][1] < spans[1][1]


def test_arms_for_which_the_smallest_budget_is_enough_are_not_told_apart() -> None:
    result = answer(rows({"entropy": {100: 0.8}, "margin": {100: 0.95, 400: 0.96}, "random": {100: 0.99, 400: 0.99}}))
    assert [row["at_most"] for row in result["arms"]] == [False, True, True]
    assert result["fewest"]["arm"] == "random"  # of those that need as many, the most accurate
    assert [row["arm"] for row in result["fewest"]["against"]] == ["entropy"]


def test_nobody_needs_the_fewest_where_no_arm_comes_there() -> None:
    result = answer(rows({"entropy": {100: 0.5, 400: 0.6}}))
    assert result["fewest"] is None
    assert result["by_margin"][0]["margin"] == 0


def test_other_margins_are_told_too() -> None:
    result = answer(rows(CURVES))
    random = [row for row in result["by_margin"] if row["arm"] == "random"]
    assert [row["margin"] for row in random] == sorted(row["margin"] for row in random)
    images = [row["images"] for row in random if row["images"] is not None]
    assert images == sorted(images, reverse=True)
    assert images[-1] == 100


def test_only_finished_runs_count() -> None:
    runs = rows(CURVES)
    stopped = [{**row, "state": "stopped", "last": 0.1} for row in runs if row["seed"] == 2]
    result = answer([row for row in runs if row["seed"] != 2] + stopped)
    assert {row["n"] for row in result["arms"]} == {2}
    assert result["reference"]["n"] == 2


def test_without_a_finished_run_of_the_full_data_nothing_is_said() -> None:
    runs = [{**row, "state": "failed", "last": None} if row["arm"] == "full" else row for row in rows(CURVES)]
    assert enough(runs, table(runs), 0.01, 0.95) is None
    assert enough([row for row in runs if row["arm"] == "full"], [], 0.01, 0.95) is None


def test_without_a_pool_arms_are_set_against_the_teacher() -> None:
    runs = [row for row in rows(CURVES) if row["arm"] != "full"]
    result = answer(runs, margin=0.05, teacher=0.95)
    assert result["reference"] == {"name": "teacher", "mean": 0.95, "images": None, "n": None}
    assert result["arms"][1]["images"] == 219  # 0.90 is 0.563 of the way from 0.8437 to 0.9437: 100 x 4^0.563
    assert enough(runs, table(runs), 0.01, None) is None


def test_one_seed_has_no_interval_and_no_verdict() -> None:
    result = answer([row for row in rows(CURVES) if row["seed"] == 0])
    assert [(row["n"], row["low"], row["high"]) for row in result["arms"]] == [(1, None, None)] * 2
    assert result["fewest"]["against"][0]["p"] is None
    assert not result["fewest"]["against"][0]["beyond_noise"]


def test_budgets_whose_images_differ_between_seeds_count_as_their_mean() -> None:
    runs = rows({"entropy": {100: 0.8}})
    for row, images in zip(runs, (90, 100, 110), strict=False):
        row["images"] = images
    assert answer(runs)["arms"][0]["most"] == 100
    twice = rows({"entropy": {100: 0.8, 400: 0.85}})
    for row in twice[:6]:
        row["images"] = 100  # "100 images" and "10 %" of 1,000
    assert answer(twice)["arms"][0]["most"] == 100


def test_comparisons_say_it_with_the_margin_of_their_recipe(tmp_path: Path) -> None:
    recipe = read_recipe(comparison(budgets=[12, 24]), ["compare.margin=0.05"])
    (tmp_path / "networks.json").write_text(json.dumps({"train_images": 400}))
    levels = {12: 0.7, 24: 0.9}
    for cell in plan(recipe):
        images = cell.budget.amount if cell.budget else 400
        if cell.arm == "no-teacher":
            status(tmp_path / cell.folder, "failed", "the loss is not finite")
        else:
            write(tmp_path / cell.folder, levels.get(int(images), 0.85) + 0.01 * cell.recipe.seed, images)
    result = collect(tmp_path, recipe)["enough"]
    assert result["margin"] == 0.05
    assert (result["arms"][0]["arm"], result["arms"][0]["images"]) == ("entropy", 17)
    assert result["arms"][0]["high"] == 17, "both seeds say the same"
    assert json.loads(json.dumps(result)) == result
    assert "other_students" not in result
    arms = {"entropy": {"select": "entropy", "student": "convnet_d3"}}
    other = read_recipe(comparison(budgets=[12, 24], arms=arms))
    assert collect(tmp_path, other)["enough"]["other_students"] == ["entropy"]


def test_without_budgets_there_is_no_such_question(tmp_path: Path) -> None:
    (tmp_path / "networks.json").write_text(json.dumps({"train_images": 400}))
    recipe = read_recipe(objectives())
    for cell in plan(recipe):
        write(tmp_path / cell.folder, 0.8, 400)
    assert collect(tmp_path, recipe)["enough"] is None


@pytest.mark.parametrize(
    ("margin", "message"),
    [
        ("1", r"compare.margin: `margin` must be in \[0, 1\), as 0.01 for one point of accuracy, got 1"),
        ("-0.1", r"compare.margin: `margin` must be in \[0, 1\), .*got -0.1"),
        ("some", r"compare.margin: must be a number"),
    ],
)
def test_wrong_margins(margin: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_recipe(comparison(budgets=[12]), [f"compare.margin={margin}"])
    assert RECIPE.compare is not None
    assert RECIPE.compare.margin == 0.01


def test_arms_against_the_same_control_are_corrected_together(tmp_path: Path) -> None:
    (tmp_path / "networks.json").write_text(json.dumps({"train_images": 400}))
    recipe = read_recipe(comparison(budgets=[12], arms={"one": "entropy", "two": "entropy"}, seeds=[0, 1, 2]))
    scores = {"one": (0.81, 0.80, 0.825), "two": (0.80, 0.83, 0.79), "random": (0.75, 0.75, 0.75)}
    for cell in plan(recipe):
        if cell.arm in scores:
            write(tmp_path / cell.folder, scores[cell.arm][cell.recipe.seed], 12)
    rows = {row["arm"]: row for row in collect(tmp_path, recipe)["differences"] if row["against"] == "random"}
    one, two = rows["one"], rows["two"]
    assert (one["tests"], two["tests"]) == (2, 2)
    assert one["p_adjusted"] == pytest.approx(2 * one["p"])
    assert two["p_adjusted"] == pytest.approx(max(two["p"], 2 * one["p"]))
    assert (one["beyond_noise"], two["beyond_noise"]) == (True, two["p_adjusted"] < 0.05)
    assert one["seeds_needed"] is None
