"""The table is arithmetic over run folders: checked by hand on folders that never saw a network."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.recipes.tiny_recipes import comparison, objectives

from limbeck.recipes.plan import plan
from limbeck.recipes.reading import read_recipe
from limbeck.recipes.results import collect

RECIPE = read_recipe(comparison(budgets=[12, 24]))
SCORES = {"entropy": (0.8, 0.9), "random": (0.7, 0.82), "full": (0.95, 0.97)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Both seeds of two arms at both budgets and of all the data; one arm failed, the others never ran."""
    (tmp_path / "networks.json").write_text(json.dumps({"train_images": 400}))
    for cell in plan(RECIPE):
        run = tmp_path / cell.folder
        if cell.arm in SCORES:
            write(run, SCORES[cell.arm][cell.recipe.seed], cell.budget.amount if cell.budget else 400)
        elif cell.arm == "no-teacher":
            status(run, "failed", "the loss is not finite")
    return tmp_path


def status(run: Path, state: str, error: str | None = None) -> None:
    run.mkdir(parents=True)
    (run / "status.json").write_text(json.dumps({"state": state, "error": error}))


def write(run: Path, top1: float, images: float) -> None:
    status(run, "finished")
    cost = {"images": images, "teacher_passes": 100, "seconds": 2.0, "energy": {"kwh": 0.5, "kind": "estimated"}}
    (run / "cost.json").write_text(json.dumps(cost))
    evaluation: dict[str, Any] = {"last": {"top1": top1}, "chosen": {"top1": top1 + 0.01}}
    (run / "evaluation.json").write_text(json.dumps(evaluation))


def test_table(folder: Path) -> None:
    table = collect(folder, RECIPE)["table"]
    assert [(row["arm"], row["images"]) for row in table] == [
        ("entropy", 12),
        ("random", 12),
        ("entropy", 24),
        ("random", 24),
        ("full", 400),
    ]
    entropy = table[0]
    assert (entropy["n"], entropy["mean"]) == (2, pytest.approx(0.85))
    assert entropy["half_width"] == pytest.approx(12.706 * 0.05, rel=1e-3)  # Student's t, one degree of freedom
    assert entropy["std"] == pytest.approx(0.1 / 2**0.5)
    assert entropy["chosen_mean"] == pytest.approx(0.86)
    assert (entropy["teacher_passes"], entropy["seconds"], entropy["energy_kwh"]) == (100, 2.0, 0.5)


def test_differences_are_paired_over_seeds(folder: Path) -> None:
    rows = collect(folder, RECIPE)["differences"]
    assert [(row["arm"], row["against"], row["images"]) for row in rows] == [
        ("entropy", "random", 12),
        ("entropy", "full", 12),
        ("entropy", "random", 24),
        ("entropy", "full", 24),
    ]
    assert rows[0]["mean"] == pytest.approx((0.1 + 0.08) / 2)
    assert rows[0]["beyond_noise"] == (rows[0]["low"] > 0)


def test_seeds_that_tie_are_no_finding_from_a_handful_of_test_images(tmp_path: Path) -> None:
    (tmp_path / "networks.json").write_text(json.dumps({"train_images": 400, "test_images": 100}))
    for cell in plan(RECIPE):
        if cell.arm in ("entropy", "random") and cell.budget:
            write(tmp_path / cell.folder, 0.51 if cell.arm == "entropy" else 0.50, cell.budget.amount)
    collected = collect(tmp_path, RECIPE)
    row = collected["differences"][0]
    assert (row["beyond_noise"], round(row["p"], 3), row["seeds_needed"]) == (False, 0.179, 4)
    assert (row["low"], row["high"]) == (pytest.approx(0.01 - 0.0367, abs=1e-4), pytest.approx(0.0467, abs=1e-4))
    first = collected["table"][0]
    assert (first["std"], first["half_width"]) == (0.0, pytest.approx(0.0259, abs=1e-4))


def test_failed_and_missing_runs_are_said(folder: Path) -> None:
    runs = {(row["arm"], row["seed"]): row for row in collect(folder, RECIPE)["runs"]}
    assert (runs["no-teacher", 0]["state"], runs["no-teacher", 0]["error"]) == ("failed", "the loss is not finite")
    assert runs["full-no-teacher", 1]["state"] == "missing"
    assert runs["full-no-teacher", 1]["last"] is None


def test_notes_say_what_was_equal(folder: Path) -> None:
    assert collect(folder, RECIPE)["notes"] == [
        "Every run takes 12 steps of 16 images, whatever its budget.",
        "2 seeds shared by all arms; differences are paired over them.",
    ]
    epochs = read_recipe(comparison(budgets=[12, 24]), ["training.epochs=3"])
    assert collect(folder, epochs)["notes"][0].startswith("Every run takes 3 epochs of its own transfer set")


def test_runs_that_were_computed_otherwise_are_named(folder: Path) -> None:
    finished = [cell for cell in plan(RECIPE) if cell.arm in SCORES]
    for cell in finished:
        odd = cell.arm == "random" and cell.recipe.seed == 0
        hardware = {"processor": "AMD EPYC", "instructions": "AVX2" if odd else "AVX512", "devices": []}
        environment = hardware | {
            "computing": {"precision": "fp32" if odd else "bf16", "channels_last": True, "threads": 1}
        }
        (folder / cell.folder / "environment.json").write_text(json.dumps(environment))
    *_, note = collect(folder, RECIPE)["notes"]
    assert note.startswith(
        f"Runs of the same student were not computed alike: {len(finished) - 2} in bf16 on AMD EPYC (AVX512); "
        "fp32 on AMD EPYC (AVX2): random@12-images seed 0 and random@24-images seed 0. Differences"
    )


def test_runs_of_an_earlier_version_are_not_unlike_for_what_they_did_not_note(folder: Path) -> None:
    for number, cell in enumerate(cell for cell in plan(RECIPE) if cell.arm in SCORES):
        hardware = {"processor": "AMD EPYC", "devices": []} | ({"instructions": "AVX2"} if number % 2 else {})
        environment = hardware | {"computing": {"precision": "fp32", "channels_last": True, "threads": 1}}
        (folder / cell.folder / "environment.json").write_text(json.dumps(environment))
    assert not any("computed alike" in note for note in collect(folder, RECIPE)["notes"])


def test_notes_name_the_controls_of_another_length(tmp_path: Path) -> None:
    (tmp_path / "networks.json").write_text(json.dumps({"train_images": 400, "train_classes": 3, "suited": True}))
    longer = {"transfer": {"maker": "condense", "method": "dm"}, "training": {"steps": 24}}
    both = read_recipe(comparison(arms={"long": longer, "entropy": "entropy"}, budgets=["4/class"]))
    assert collect(tmp_path, both)["notes"][0] == (
        "Every run but those of long, condense-random, condense-rded takes 12 steps of 16 images, whatever its budget."
    )
    same = read_recipe(comparison(arms={"long": {**longer, "training": {"steps": 12}}}))
    assert collect(tmp_path, same)["notes"][0].startswith("Every run takes 12 steps of 16 images")


def test_sets_of_another_size_for_each_seed_count_as_their_mean_in_tables_and_costs(tmp_path: Path) -> None:
    (tmp_path / "networks.json").write_text(json.dumps({"train_images": 400}))
    for cell in plan(RECIPE):
        grown = cell.arm == "entropy"
        amount = cell.budget.amount + (4 * cell.recipe.seed if grown else 0) if cell.budget else 400
        write(tmp_path / cell.folder, 0.5 + amount / 1000, amount)
    collected = collect(tmp_path, RECIPE)
    assert [row["images"] for row in collected["table"] if row["arm"] == "entropy"] == [14, 26]
    row = next(row for row in collected["differences"] if (row["arm"], row["against"]) == ("entropy", "random"))
    assert (row["images"], row["images_against"]) == (14, 12)
    (entropy,) = [arm for arm in collected["enough"]["arms"] if arm["arm"] == "entropy"]
    assert (entropy["least"], entropy["most"], entropy["low"]) == (14, 26, 26)
    assert entropy["costs"]["low"]["teacher_passes"] == 100


def test_arms_and_controls_of_other_steps_or_another_student_are_told(tmp_path: Path) -> None:
    (tmp_path / "networks.json").write_text(json.dumps({"train_images": 400, "train_classes": 3, "suited": True}))
    wide = {"model": "convnet_d3", "options": {"width": 32}}
    arms = {"long": {"training": {"steps": 24}}, "wide": {"student": wide}, "entropy": "entropy"}
    unlike = collect(tmp_path, read_recipe(comparison(arms=arms)))["unlike"]
    assert unlike == {"steps": ["long"], "student": ["wide"]}


def test_without_budgets_arms_are_set_against_the_baseline_and_labels_alone(tmp_path: Path) -> None:
    (tmp_path / "networks.json").write_text(json.dumps({"train_images": 400}))
    recipe = read_recipe(objectives(baseline="kd", without_teacher={"steps": 24}))
    scores = {"kd": (0.8, 0.9), "at": (0.7, 0.82), "full-no-teacher": (0.75, 0.77)}
    for cell in plan(recipe):
        write(tmp_path / cell.folder, scores[cell.arm][cell.recipe.seed], 400)
    results = collect(tmp_path, recipe)
    assert [(row["arm"], row["budget"]) for row in results["table"]] == [(arm, "all") for arm in scores]
    assert [(row["arm"], row["against"]) for row in results["differences"]] == [
        ("kd", "full-no-teacher"),
        ("at", "kd"),
        ("at", "full-no-teacher"),
    ]
    assert results["differences"][1]["mean"] == pytest.approx(-(0.1 + 0.08) / 2)
    assert results["baseline"] == "kd"
    assert results["notes"][0] == "Every run but those of full-no-teacher takes 12 steps of 16 images."


def test_baseline_beside_the_controls_of_each_budget(folder: Path) -> None:
    (folder / "runs/other@12-images").mkdir()
    for seed in (0, 1):
        write(folder / f"runs/other@12-images/seed-{seed}", 0.5, 12)
    recipe = read_recipe(comparison(budgets=[12, 24], arms={"entropy": "entropy", "other": {}}, baseline="entropy"))
    rows = [row for row in collect(folder, recipe)["differences"] if row["arm"] == "other"]
    assert [(row["against"], row["images"]) for row in rows] == [("entropy", 12), ("random", 12), ("full", 12)]
