import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from tests.report import report_factory as factory

from limbeck.report import frontier_chart, frontier_svg
from limbeck.report.figures import classes, curves, frontier, ranking, style
from limbeck.report.vega import bundle, figure, script_json


def test_frontier_svg_is_white_and_well_formed() -> None:
    drawn = frontier_svg(factory.results())
    root = ElementTree.fromstring(drawn)
    assert root.tag.endswith("svg")
    assert 'fill="white"' in drawn
    assert "currentColor" not in drawn
    for words in ("teacher 93", "full data 91", "balanced random", "10 %"):
        assert words in drawn


def test_budgets_are_named_below_any_count() -> None:
    rows = [{"x": 1_024_933.0, "budget": "80 %"}, {"x": 500.0, "budget": "500"}]
    assert '{"1024933": "80 %"}' in str(frontier._axis(rows, "images").to_dict()["labelExpr"])


def test_frontier_has_every_arm_but_full_data_is_a_rule() -> None:
    names = json.dumps(frontier_chart(factory.results()).to_dict())
    assert '"domain": ["entropy", "balanced-random", "random", "no-teacher"]' in names


@pytest.mark.parametrize("cost", list(frontier.COSTS))
def test_frontier_against_every_cost(cost: str) -> None:
    assert frontier.has_cost(factory.results(), cost)
    assert figure(frontier.frontier(factory.results(), cost), "f", "label").svg.startswith("<svg")


def test_real_images_are_drawn_where_they_are_known_and_are_not_the_images_taught_on() -> None:
    results = factory.results()
    assert not frontier.has_cost(factory.of_before(factory.results()), "real_images")
    assert [row["x"] for row in frontier._means(results, "real_images") if row["arm"] == "entropy"] == [45_000] * 3
    for row in results["table"]:
        row["real_images"] = row["images"]
    assert not frontier.has_cost(results, "real_images")
    for row in results["table"]:
        row["real_images"] = 0  # of borrowed and generated images
    assert not frontier.has_cost(results, "real_images")
    next(row for row in results["table"] if row["arm"] == "entropy")["real_images"] = 45_000
    assert frontier.has_cost(results, "real_images")
    assert figure(frontier.frontier(results, "real_images"), "f", "label").svg.startswith("<svg")


def test_costs_that_nobody_knows_are_left_out() -> None:
    results = factory.results()
    for row in results["table"]:
        row.update(energy_kwh=None, making=None, teaching=None)
    assert not frontier.has_cost(results, "energy_kwh")


def test_one_seed_has_no_interval() -> None:
    drawn = frontier_svg(factory.results(seeds=1))
    ElementTree.fromstring(drawn)
    assert "NaN" not in drawn


def test_ids_in_svgs_are_unique_and_resolved() -> None:
    chart = frontier.frontier(factory.results())
    first, second = (figure(chart, key, "label").svg for key in ("one", "two"))
    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in (first, second)]
    assert not ids[0] & ids[1]
    assert set(re.findall(r"url\(#([^)]+)\)", first)) <= ids[0]


def test_charts_take_the_colour_of_the_page() -> None:
    drawn = figure(frontier.frontier(factory.results()), "f", "label").svg
    assert 'fill="currentColor"' in drawn


def test_controls_are_grey_and_users_coloured() -> None:
    styles = style.arms(factory.results())
    assert next(iter(styles)) == "entropy"
    assert styles["entropy"].colour == style.USER_COLOURS[0]
    assert styles["random"].control
    assert styles["random"].dash != styles["balanced-random"].dash


def test_log_scale_only_where_costs_span_enough() -> None:
    assert style.cost_scale([10, 100]).to_dict()["type"] == "log"
    assert "type" not in style.cost_scale([10, 20]).to_dict()
    assert "type" not in style.cost_scale([0, 100]).to_dict()


def test_counts_from_nothing_on_are_apart() -> None:
    assert style.count_scale([0, 10, 50_000]).to_dict() == {
        "type": "symlog",
        "constant": 10,
        "nice": False,
        "padding": 24,
    }
    assert "type" not in style.count_scale([0, 100]).to_dict()
    assert "type" not in style.count_scale([]).to_dict()


def test_curves_average_only_steps_that_all_seeds_reached() -> None:
    def records(*values: float) -> list[dict[str, Any]]:
        return [{"kind": "validation", "step": i, "top1": value} for i, value in enumerate(values)]

    points = curves.mean_over_seeds([records(0.1, 0.3, 0.9), records(0.3, 0.5, float("nan"))], "validation", "top1")
    assert points == [{"step": 0, "value": pytest.approx(0.2)}, {"step": 1, "value": pytest.approx(0.4)}]


def test_common_errors_are_sorted_and_off_the_diagonal() -> None:
    counts = [[8, 2, 0], [0, 10, 0], [5, 0, 5]]
    errors = classes.common_errors(counts, ["a", "b", "c"])
    assert [(row["true"], row["predicted"], row["share"]) for row in errors] == [("c", "a", 0.5), ("a", "b", 0.2)]


def test_confusion_of_an_empty_class_divides_by_nothing() -> None:
    drawn = figure(classes.confusion_map([[0, 0], [0, 3]], ["a", "b"]), "c", "label", fluid=False)
    assert "NaN" not in drawn.svg
    assert classes.confusion_picture(np.eye(50, dtype=int).tolist()).startswith("data:image/png")


def test_script_json_cannot_end_its_element() -> None:
    value = {"arm": "</script><!--<script>&\u2028"}
    words = script_json(value)
    assert not set("<>&\u2028") & set(words)
    assert json.loads(words) == value


def test_bundle_may_stand_in_a_script_element() -> None:
    script = bundle()
    assert "</script" not in script.lower()
    assert "<!--" not in script
    assert len(script) < 1_200_000
    assert bundle() is script


def on_all_images() -> dict[str, Any]:
    return factory.objectives({"kd": 0.85, "dkd": 0.86, "full-no-teacher": 0.84})


def test_arms_below_one_another_are_in_the_order_of_the_recipe() -> None:
    drawn = ranking.ranking_svg(on_all_images())
    ElementTree.fromstring(drawn)
    assert 'fill="white"' in drawn
    assert drawn.index(">kd<") < drawn.index(">dkd<") < drawn.index(">full data without teacher<")
    assert "NaN" not in ranking.ranking_svg(factory.objectives({"kd": 0.85}, seeds=1))


def test_costs_are_in_the_order_of_the_arms() -> None:
    for cost in ranking.COSTS:
        drawn = json.dumps(ranking.cost_bars(on_all_images(), cost, style.arms(on_all_images())).to_dict())
        assert '"sort": ["kd", "dkd", "full-no-teacher"]' in drawn


def test_bundle_is_put_together_once_for_all_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path))
    monkeypatch.setattr("limbeck.report.vega.vl_convert.javascript_bundle", lambda start, vl_version: "run(1)")
    bundle.cache_clear()
    assert bundle() == "run(1)"
    monkeypatch.setattr("limbeck.report.vega.vl_convert.javascript_bundle", lambda start, vl_version: "run(2)")
    bundle.cache_clear()
    assert bundle() == "run(1)"
    (kept,) = tmp_path.glob("scripts/*.js")
    kept.write_text("steal()")  # whatever is there in its place is not shown
    bundle.cache_clear()
    assert bundle() == "run(2)"
    bundle.cache_clear()
