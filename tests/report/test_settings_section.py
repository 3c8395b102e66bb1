"""Curves over a number that arms differ in: which arms belong together, and what the page says of them."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.report import report_factory as factory
from tests.report.test_pages import markup, outline
from tests.report.transfer_set.test_old_layouts import spec, values

from limbeck.report import write_comparison_report
from limbeck.report.blocks import Chart
from limbeck.report.settings_section import settings_section, sweeps


def growing(memory: int = 8, step: float = 0.1, **more: Any) -> dict[str, Any]:
    return {"transfer": {"maker": "generate", "growth": {"memory": memory, "step": step}, **more}}


def recipe(arms: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "sweep", "training": {"steps": 10, "learning_rate": 0.1}, "compare": {"arms": arms}, **more}


def test_arms_that_differ_in_one_number() -> None:
    arms = {f"memory-{memory}": growing(memory) for memory in (8, 2, 4)}
    arms |= {f"step-{step}": growing(step=step) for step in (0.2, 0.4)}
    arms["other"] = growing(16, labels="balanced")
    arms_of = {sweep.setting: dict(sweep.arms) for sweep in sweeps(recipe(arms))}
    assert arms_of == {
        "transfer.growth.memory": {2: "memory-2", 4: "memory-4", 8: "memory-8"},
        "transfer.growth.step": {0.1: "memory-8", 0.2: "step-0.2", 0.4: "step-0.4"},
    }
    assert [*arms_of["transfer.growth.memory"]] == [2, 4, 8]


def test_a_grid_has_a_line_for_each_value_of_the_other() -> None:
    arms = {f"{memory}-{step}": growing(memory, step) for memory in (2, 4, 8) for step in (0.1, 0.2)}
    result = sweeps(recipe(arms))
    assert [(sweep.setting, list(sweep.arms.values())) for sweep in result] == [
        ("transfer.growth.memory", ["2-0.1", "4-0.1", "8-0.1"]),
        ("transfer.growth.memory", ["2-0.2", "4-0.2", "8-0.2"]),
    ]


def test_what_arms_leave_out_is_the_recipes() -> None:
    rates: dict[str, Any] = {"slow": {"training": {"learning_rate": 0.01}}, "usual": None}
    rates["fast"] = {"training": {"learning_rate": 1.0}}
    (sweep,) = sweeps(recipe(rates))
    assert (sweep.setting, dict(sweep.arms)) == (
        "training.learning_rate",
        {0.01: "slow", 0.1: "usual", 1.0: "fast"},
    )


@pytest.mark.parametrize(
    "arms",
    [
        {"a": growing(2), "b": growing(4)},
        {"a": growing(2), "b": growing(4), "c": {"transfer": {"maker": "generate", "growth": None}}},
        {"a": growing(flag=True), "b": growing(flag=False), "c": growing(flag=None)},
        {"a": growing(2, views="none"), "b": growing(4, views="flip"), "c": growing(8, views=["flip"])},
    ],
)
def test_no_curve_of_two_values_of_words_or_of_several_settings(arms: dict[str, Any]) -> None:
    assert not sweeps(recipe(arms))


def page_of(folder: Path, arms: dict[str, Any], budgets: dict[str, int], seeds: int = 3) -> Path:
    levels = {arm: 0.8 + place / 100 for place, arm in enumerate(arms)}
    factory.write_json(folder / "results.json", factory.results(levels, budgets, seeds))
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe(arms)))
    return write_comparison_report(folder)


def test_the_page_shows_a_curve_for_each_setting(tmp_path: Path) -> None:
    arms = {f"memory-{memory}": growing(memory) for memory in (2, 4, 8)}
    arms |= {f"step-{step}": growing(step=step) for step in (0.2, 5.0)}
    page = page_of(tmp_path, arms, {"500 images": 500})
    words = markup(page).replace("\N{NO-BREAK SPACE}", " ").split('<section id="settings"')[1].split("</section>")[0]
    for part in ("growth.memory at 500 images", "growth.step at 500 images", "Means are within", "is seed noise"):
        assert part in words, part
    means = values(page, "setting-0")
    assert [(row["x"], row["arm"], row["n"]) for row in means] == [
        (2, "memory-2", 3),
        (4, "memory-4", 3),
        (8, "memory-8", 3),
    ]
    assert all(row["low"] < row["mean"] < row["high"] for row in means)
    assert len(values(page, "setting-0", 2)) == 9
    scales = [spec(page, f"setting-{place}")["layer"][0]["encoding"]["x"]["scale"].get("type") for place in (0, 1)]
    assert scales == [None, "log"]
    assert outline(page).scripts == 1


def test_grids_and_budgets(tmp_path: Path) -> None:
    arms = {f"a-{memory}-{step}": growing(memory, step) for memory in (2, 4, 8) for step in (0.1, 0.2)}
    page = page_of(tmp_path, arms, {"500 images": 500, "1000 images": 1000}, seeds=1)
    assert {row["line"] for row in values(page, "setting-0")} == {"growth.step 0.1", "growth.step 0.2"}
    assert values(page, "setting-1")[0]["low"] is None
    assert "one seed." in markup(page)


def test_arms_that_stopped_early_have_no_dots(tmp_path: Path) -> None:
    arms = {f"memory-{memory}": growing(memory) for memory in (2, 4, 8, 16)}
    content = factory.results(dict.fromkeys(arms, 0.8), {"500 images": 500}, 2)
    content["table"] = [row for row in content["table"] if row["arm"] != "memory-16"]
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe(arms)))
    section = settings_section(tmp_path, content)
    assert section is not None
    (chart, _) = section.blocks
    assert isinstance(chart, Chart)
    assert "memory-8" in chart.figure.spec
    assert "memory-16" not in chart.figure.spec


@pytest.mark.parametrize("text", ["", "[", "compare: 3", "compare: {arms: [1]}", "- 1"])
def test_recipes_that_cannot_be_read_have_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "recipe.yaml").write_text(text)
    assert settings_section(tmp_path, factory.results({"a": 0.5}, {"500 images": 500}, 1)) is None
