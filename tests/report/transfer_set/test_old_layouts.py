"""What a run says of the images that it chose and left out."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tests.report import report_factory as factory
from tests.report.test_pages import markup, outline

from limbeck.errors import UserError
from limbeck.report import write_run_report
from limbeck.report.transfer_set.balance import apart
from limbeck.transfer.summary import Shares


def chosen_run(folder: Path, criterion: Any = "entropy-whole", *, gallery: bool = True, **options: Any) -> Path:
    """A run with a selection, made by what its recipe says."""
    factory.write_json(folder / "status.json", {"state": "finished", "error": None})  # the other sections take long
    if gallery:
        factory.write_gallery(folder / "gallery.safetensors")
    factory.write_selection(folder / "selection.parquet", **options)
    (folder / "recipe.yaml").write_text(yaml.safe_dump({"select": {"criterion": criterion, "budget": "10%"}}))
    return write_run_report(folder)


def spec(page: Path, key: str) -> dict[str, Any]:
    """The specification of one chart of a page."""
    match = re.search(rf'data-chart="{key}".*?<script type="application/json">(.*?)</script>', page.read_text(), re.S)
    assert match, key
    return json.loads(match[1])


def values(page: Path, key: str, layer: int = 0) -> list[dict[str, Any]]:
    chart = spec(page, key)
    return chart["layer"][layer].get("data", chart.get("data"))["values"]


def section(page: Path) -> str:
    """The words of the section, in which spaces may break."""
    words = markup(page)
    start = words.index('<section id="chosen"')
    return words[start : words.index("</section>", start)].replace("\N{NO-BREAK SPACE}", " ")


def test_scores_classes_and_images_stand_together(tmp_path: Path) -> None:
    page = chosen_run(tmp_path / "run")
    words = section(page)
    for part in (
        "90 of 900 images (10.0 %), chosen by entropy-whole: score entropy of grayscale-histogram, allocation top-n",
        "Images by score",
        "Shannon entropy of the representation",
        "Dashed: 10.0 %, what chance would take at every score",
        "What was chosen scores at least",
        "Images by class",
        "an even share, 9.0 images of each class",
        "the share of the class that was chosen",
        "Left out, highest entropy",
    ):
        assert part in words, part
    assert outline(page).scripts == 1
    assert words.count("<h2") == 1


def test_columns_add_up_to_all_images(tmp_path: Path) -> None:
    page = chosen_run(tmp_path / "run")
    bins = values(page, "scores")
    assert sum(row["chosen"] for row in bins if row["part"] == "chosen") == 90
    assert sum(row["to"] - row["from"] for row in bins) == 900
    marks = [row["words"] for row in values(page, "scores", 1)]
    scores = np.sort(np.random.default_rng(1).normal(5, 1, 900))
    medians = {"median of the chosen": scores[810:][44], "median of all images": scores[449], "threshold": scores[810]}
    assert marks == [f"{name}, {value:.2f}" for name, value in medians.items()]
    classes = values(page, "class-balance")
    assert sum(row["chosen"] for row in classes) == 90
    assert {row["name"] for row in classes} == set(factory.CLASSES)
    assert [row["chosen"] for row in classes] == sorted((row["chosen"] for row in classes), reverse=True)


def test_random_scores_are_not_shown(tmp_path: Path) -> None:
    page = chosen_run(tmp_path / "run", "balanced-random")
    assert "The scores are random numbers" in section(page)
    assert 'data-chart="scores"' not in section(page)


def test_equal_scores_told_nothing(tmp_path: Path) -> None:
    page = chosen_run(tmp_path / "run", scores=np.full(900, 2.5))
    assert "All images have the score 2.5" in section(page)
    assert 'data-chart="scores"' not in section(page)


def test_few_whole_scores_are_told_as_such(tmp_path: Path) -> None:
    page = chosen_run(tmp_path / "run", {"score": "forgetting"}, scores=np.arange(900) % 5)
    assert {row["words"] for row in values(page, "scores")} == set("01234")
    assert "median of all images, 2" in json.dumps(spec(page, "scores"))


def test_skewed_scores_have_a_logarithmic_axis(tmp_path: Path) -> None:
    page = chosen_run(tmp_path / "run", "el2n", scores=10 ** np.random.default_rng(0).normal(-6, 2, 900))
    assert "The axis is logarithmic." in section(page)
    assert "pow(10, datum.value)" in json.dumps(spec(page, "scores"))


def test_infinite_scores_are_counted(tmp_path: Path) -> None:
    scores = np.random.default_rng(0).normal(0, 1, 900)
    scores[:2] = np.inf
    assert "Not drawn: 2 images whose scores are infinite" in section(chosen_run(tmp_path / "run", scores=scores))


def test_even_classes_are_a_sentence(tmp_path: Path) -> None:
    chosen = chosen_run(tmp_path / "some", "balanced-random", scores=-np.arange(900))
    assert "Each of the 10 classes gave 9 images, 10.0 % of its own." in section(chosen)
    page = chosen_run(tmp_path / "run", "entropy", share=1.0)
    assert "Each of the 10 classes has 90 images." in section(page)
    assert 'data-chart="class-balance"' not in section(page)


def test_one_class_and_none(tmp_path: Path) -> None:
    assert "All images are of one class, airplane." in section(chosen_run(tmp_path / "one", classes=1))
    words = section(chosen_run(tmp_path / "none", classes=0))
    assert "class" not in words.replace('class="', "")
    assert "Images by score" in words


@pytest.mark.parametrize("classes", [200, 1000])
def test_many_classes_are_columns_and_both_ends(tmp_path: Path, classes: int) -> None:
    page = chosen_run(tmp_path / "run", classes=classes, images=5000)
    words = section(page)
    assert f"{classes:,} classes, most chosen first" in json.dumps(spec(page, "class-balance"))
    assert f"Each column is the mean of {-(-classes // 128)} classes" in words
    assert "The 8 classes of which most, and the 8 of which fewest" in words
    columns = values(page, "class-balance")
    assert sum(row["chosen"] * (row["high"] - row["low"]) for row in columns) == pytest.approx(500)
    assert page.stat().st_size < 3_000_000


def test_clusters_are_largest_first_and_empty_ones_left_out(tmp_path: Path) -> None:
    page = chosen_run(tmp_path / "run", "k-means", groups=7)
    assert "Images by cluster" in section(page)
    assert "7 clusters, largest first" in json.dumps(spec(page, "groups"))
    sizes = {row["low"]: row["chosen"] + row["left"] for row in values(page, "groups")}
    assert sum(sizes.values()) == 900
    assert list(sizes.values()) == sorted(sizes.values(), reverse=True)


def test_strata_stay_in_order(tmp_path: Path) -> None:
    criterion = {"score": "el2n", "allocation": "coverage", "cutoff": 0.1}
    page = chosen_run(tmp_path / "run", criterion, groups=5)
    assert "5 strata, lowest scores first, then those cut off as too hard" in json.dumps(spec(page, "groups"))
    assert values(page, "groups")[0]["words"] == "stratum 1"
    per_class = chosen_run(tmp_path / "other", {"score": "el2n", "allocation": "coverage-per-class"}, groups=5)
    assert "5 strata, class after class, lowest scores first" in json.dumps(spec(per_class, "groups"))


def test_unknown_criterion_and_broken_recipe_are_no_obstacle(tmp_path: Path) -> None:
    words = section(chosen_run(tmp_path / "run", "of-tomorrow", gallery=False))
    assert "90 of 900 images (10.0 %) were chosen." in words
    assert ">airplane<" not in words
    (tmp_path / "run" / "recipe.yaml").write_text("a: [")
    assert "90 of 900 images" in section(write_run_report(tmp_path / "run"))


def test_runs_of_before_show_their_images(tmp_path: Path) -> None:
    folder = factory.write_run(tmp_path / "run")
    factory.write_gallery(folder / "gallery.safetensors")
    page = write_run_report(folder)
    assert "Left out, highest entropy" in section(page)
    assert "Images by score" not in section(page)
    assert 'id="chosen"' not in markup(write_run_report(factory.write_run(tmp_path / "all")))


@pytest.mark.parametrize("content", [b"", b"PAR1 no table"])
def test_broken_tables_say_what_to_do(tmp_path: Path, content: bytes) -> None:
    (factory.write_run(tmp_path) / "selection.parquet").write_bytes(content)
    with pytest.raises(UserError, match=r"selection\.parquet cannot be read .* Delete it and report again to go"):
        write_run_report(tmp_path)


def test_how_far_from_even() -> None:
    assert apart(Shares((10, 10, 0), (5, 5, 0), None, ())) == 0
    assert apart(Shares((10, 10), (10, 0), None, ())) == 0.5
    assert apart(Shares((9, 9, 9, 9), (4, 2, 1, 1), None, ())) == pytest.approx(0.25)
