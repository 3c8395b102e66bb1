"""Several comparisons in one report: arms told apart, verdicts of their own, panels, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from markupsafe import Markup
from tests.report import report_factory as factory

from limbeck.errors import UserError
from limbeck.report import comparison_charts, sentences, write_merged_report
from limbeck.report.blocks import Table
from limbeck.report.controls import Controls, arm_order
from limbeck.report.figures import frontier, ranking
from limbeck.report.merged_page import merged_page
from limbeck.report.merging import comparisons_of, panels, together, with_unique_arms
from limbeck.report.vega import Figure

Write = Callable[..., tuple[Path, dict[str, Any]]]
TEST = {"name": "cifar10/test", "images": 10_000, "fingerprint": "0123456789abcdef"}


@pytest.fixture(autouse=True)
def _without_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out charts, which take longest; tests of figures and of the browser draw them."""
    empty = Markup("")
    monkeypatch.setattr("limbeck.report.page.bundle", lambda: "")
    monkeypatch.setattr(
        comparison_charts, "figure", lambda chart, key, label, **_: Figure(key, label, empty, empty, True)
    )
    for module, name in ((frontier, "frontier"), (ranking, "ranking"), (ranking, "cost_bars")):
        monkeypatch.setattr(module, name, lambda *_, **__: None)
    monkeypatch.setattr(frontier, "frontier_svg", lambda results: "<svg/>")


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(
        place: str,
        results: dict[str, Any] | None = None,
        *,
        test: Any = TEST,
        teacher: str = "t",
        **recipe: Any,
    ) -> tuple[Path, dict[str, Any]]:
        folder, content = tmp_path / place, results or factory.results()
        inputs = {
            "teacher": {"fingerprint": teacher},
            "train": {"name": "cifar10/train", "images": 45_000},
            "test": test,
        }
        factory.write_json(folder / "inputs.json", inputs)
        (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe), "utf-8")
        return folder, content

    return write


def merged(found: list[tuple[Path, dict[str, Any]]], folder: Path) -> tuple[dict[str, Any], Any]:
    comparisons = comparisons_of(found)
    unique = with_unique_arms(comparisons)
    results = together(unique, folder, "all")
    return results, merged_page(comparisons, unique, results, folder)


def unfinished_known(found: tuple[Path, dict[str, Any]]) -> tuple[Path, dict[str, Any]]:
    folder, results = found
    for run in results["runs"]:
        run["images"] = run["images"] or 11_250
    return folder, results


def test_one_report_one_table_and_the_same_verdicts(write: Write, tmp_path: Path) -> None:
    other = factory.results({"margin": 0.75, **factory.LEVELS})
    for run in [*other["runs"], *other["table"]]:
        run["control"] = run["arm"] not in ("margin", "entropy")
    other["differences"] = factory.differences(other["runs"])
    inputs = [write("a"), write("b", other)]
    (inputs[0][0] / "runs" / "entropy@5 %" / "seed-0").mkdir(parents=True)
    (inputs[0][0] / "runs" / "entropy@5 %" / "seed-0" / "report.html").touch()
    page = write_merged_report(inputs, tmp_path / "both").read_text("utf-8")
    assert "../a/runs/entropy%405%20%25/seed-0/report.html" in page
    runs = pd.read_csv(tmp_path / "both" / "results.csv")
    assert len(runs) == len(inputs[0][1]["runs"]) + len(other["runs"])
    assert set(runs["comparison"]) == {"a", "b"}
    assert "entropy" in set(runs["arm"])  # its own name: `comparison` tells it apart
    assert r"\emph{b: teacher" in (tmp_path / "both" / "results.tex").read_text()
    content = json.loads((tmp_path / "both" / "results.json").read_text())
    assert [comparison["folder"] for comparison in content["merged"]] == ["../a", "../b"]
    assert (tmp_path / "both" / "frontier.svg").is_file()
    assert list(arm_order(content))[:3] == ["entropy (a)", "margin", "entropy (b)"]
    own = sentences.deciding(inputs[0][1])
    decisive = sentences.deciding(content)
    for (arm, budget), row in own.items():
        renamed = decisive[f"{arm} (a)", budget]
        assert (renamed["mean"], renamed["against"]) == (row["mean"], f"{row['against']} (a)")
    assert decisive["margin", "5 %"]["against"] == "balanced-random (b)"


def test_controls_stay_with_their_comparison(write: Write, tmp_path: Path) -> None:
    results, page = merged([*map(unfinished_known, (write("a"), write("b")))], tmp_path)
    controls = Controls.of(results)
    assert controls.label("random (b)") == "random (b)"
    assert controls.label("full-no-teacher (a)") == "full data without teacher (a)"
    first = controls.get("random (a)")
    assert first is not None
    assert first.arms == ("entropy (a)",)
    assert controls.strictest(arm="entropy (b)") == ["balanced-random (b)", "random (b)", "full-no-teacher (b)"]
    assert [fact.label for fact in page.facts[:3]] == ["teacher", "entropy (a)", "balanced random (a)"]
    assert [fact.label for fact in page.facts].count("teacher") == 1
    assert [line.split(":")[0] for line in page.lead] == ["a", "b"]
    assert [section.key for section in page.sections][:2] == ["comparisons", "frontier-0"]


def test_other_teachers_and_students_have_a_panel_of_their_own(write: Write, tmp_path: Path) -> None:
    small = factory.results()
    small["student"]["name"] = "resnet8"
    inputs = [*map(unfinished_known, (write("a"), write("b", small), write("c", teacher="other"), write("d")))]
    unique = with_unique_arms(comparisons_of(inputs))
    words = panels(unique)
    assert [[comparison.name for comparison in comparisons] for comparisons in words.values()] == [
        ["a", "d"],
        ["b"],
        ["c"],
    ]
    assert list(words)[2].endswith("weights other")
    _, page = merged(inputs, tmp_path)
    titles = [section.title for section in page.sections if section.key.startswith("frontier")]
    assert len(titles) == 3
    assert "student resnet8" in titles[1]
    assert len([fact for fact in page.facts if fact.label == "teacher"]) == 1  # of the same name and accuracy


def test_students_of_one_name_and_other_sizes_have_a_panel_each(write: Write, tmp_path: Path) -> None:
    wide = factory.results()
    wide["student"]["footprint"] = factory.footprint(4_000_000)
    inputs = [*map(unfinished_known, (write("a"), write("b", wide), write("c")))]
    words = panels(with_unique_arms(comparisons_of(inputs)))
    assert [[comparison.name for comparison in group] for group in words.values()] == [["a", "c"], ["b"]]
    assert [one.split("student ")[1] for one in words] == [
        "resnet20 (269,722 parameters, 40,458,300 multiply-adds)",
        "resnet20 (4,000,000 parameters, 600,000,000 multiply-adds)",
    ]
    write_merged_report(inputs, tmp_path / "all")
    tex = (tmp_path / "all" / "results.tex").read_text()
    assert "student resnet20 (4,000,000 parameters, 600,000,000 multiply-adds)" in tex
    assert not (tmp_path / "all" / "frontier.svg").exists()
    (alike,) = panels(with_unique_arms(comparisons_of([inputs[0], inputs[2]])))
    assert alike.endswith("student resnet20")


def test_every_arm_of_a_few_is_told_and_of_many_all_together(write: Write, tmp_path: Path) -> None:
    few = factory.results({"first": 0.7, "second": 0.72, **factory.LEVELS})
    many = factory.results({**{f"arm-{place}": 0.7 for place in range(5)}, **factory.LEVELS})
    _, page = merged([*map(unfinished_known, (write("few", few), write("many", many)))], tmp_path)
    for line, results in zip(page.lead, (few, many), strict=True):
        assert all(sentence in line for sentence in sentences.lead(results))
    assert all(f"{arm} is " in page.lead[0] for arm in ("first", "second", "entropy"))
    assert all(f"arm-{place} at " in page.lead[1] for place in range(5))


def test_passes_that_are_not_equal_are_told_of_each_comparison(write: Write, tmp_path: Path) -> None:
    unequal = factory.results()
    control = {"name": "random", "passes": 400, "equal": False}
    row = {"arm": "entropy", "budget": "5 %", "passes": 4000, "controls": [control], "mend": "asked_as_often: true"}
    unequal["passes"] = [row]
    results, page = merged([*map(unfinished_known, (write("a"), write("b", unequal)))], tmp_path)
    assert "Not at equal teacher passes" not in page.lead[0]
    assert "Not at equal teacher passes: entropy asked the teacher 10.0 times as often as random" in page.lead[1]
    (renamed,) = results["passes"]
    assert (renamed["arm"], renamed["controls"][0]["name"]) == ("entropy (b)", "random (b)")
    assert unequal["passes"] == [row]
    differences = next(section for section in page.sections if section.key == "differences")
    captions = [block.caption for block in differences.blocks if isinstance(block, Table)]
    assert "How often the teacher was asked for an arm and for its controls" in captions


def test_a_chart_of_before_does_not_stay_where_none_shows_all(write: Write, tmp_path: Path) -> None:
    chart = tmp_path / "both" / "frontier.svg"
    write_merged_report([write("a"), write("b")], chart.parent)
    assert chart.is_file()
    write_merged_report([write("a"), write("b", teacher="other")], chart.parent)
    assert not chart.exists()


def test_comparisons_without_budgets_are_arms_below_one_another(write: Write, tmp_path: Path) -> None:
    results = factory.objectives({"kd": 0.85, "full-no-teacher": 0.84})
    _, page = merged([write("a", results), write("b", factory.objectives({"dkd": 0.86}))], tmp_path)
    assert [section.key for section in page.sections][:3] == ["comparisons", "arms-0", "table"]


def test_what_differs_is_said(write: Write, tmp_path: Path) -> None:
    same = {"training": {"steps": 300, "batch_size": 64}, "compare": {"arms": {"x": {}}}}
    other = {"training": {"steps": 900, "batch_size": 64}, "compare": {"arms": {"y": {}}}}
    inputs = [write("a", name="one", **same), write("b", name="two", **other)]
    _, page = merged([*map(unfinished_known, inputs)], tmp_path)
    (section,) = [candidate for candidate in page.sections if candidate.key == "differing"]
    (table,) = section.blocks
    assert isinstance(table, Table)
    assert [list(row) for row in table.rows] == [["training.steps", "300", "900"]]


def test_other_test_images_are_refused_by_name(write: Write, tmp_path: Path) -> None:
    other = {**TEST, "fingerprint": "fedcba9876543210"}
    with pytest.raises(
        UserError,
        match=r"same test images, got cifar10/test \(10,000 images, fingerprint 0123456789ab\) in '.*/a' and "
        r"cifar10/test \(10,000 images, fingerprint fedcba987654\) in '.*/b'",
    ):
        write_merged_report([write("a"), write("b", test=other)], tmp_path / "both")
    assert not (tmp_path / "both").exists()
    with pytest.raises(UserError, match=r"comparisons must be two or more, each once, got .*/a and .*/a"):
        comparisons_of([write("a"), write("a")])


def test_the_same_test_images_may_have_another_name(write: Write) -> None:
    moved = {**TEST, "name": "elsewhere/test"}
    assert len(comparisons_of([write("a"), write("b", test=moved)])) == 2


def test_test_images_of_another_size_are_refused_by_their_sizes(write: Write) -> None:
    small = write("a", data={"test": {"name": "cifar10", "size": 32}})
    large = write("b", data={"size": [64, 48]}, test={**TEST, "fingerprint": "fedcba9876543210"})
    with pytest.raises(UserError, match=r"10,000 images of 32x32 pixels, .* \(10,000 images of 64x48 pixels, "):
        comparisons_of([small, large])


def test_comparisons_of_early_versions_go_by_the_name_of_their_test_images(write: Write) -> None:
    old = [write(name, test=None, data={"test": {"name": "cifar10"}}) for name in ("a", "b")]
    assert len(comparisons_of(old)) == 2
    with pytest.raises(UserError, match=r"same test images, got .*cifar10.* in '.*/a' and .*svhn.* in '.*/c'"):
        comparisons_of([old[0], write("c", test=None, data={"test": {"name": "svhn"}})])


def test_folders_of_one_name_go_by_their_paths(write: Write) -> None:
    inputs = [write("x/runs"), write("y/runs")]
    assert [comparison.name for comparison in comparisons_of(inputs)] == [str(folder) for folder, _ in inputs]
