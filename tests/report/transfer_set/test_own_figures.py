"""Tables and charts that a maker's evidence brings, on the pages of transfer sets, runs and comparisons."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.report import report_factory as factory
from tests.report.test_pages import EVIL, markup, outline
from tests.report.transfer_set.test_old_layouts import section, spec, values
from tests.report.transfer_set.test_page import page_of

from limbeck.report import reading, write_comparison_report, write_run_report
from limbeck.report.blocks import Chart, Grid, Note
from limbeck.report.controls import Controls
from limbeck.report.figures import style
from limbeck.report.transfer_set.of_arms import Made, findings, made_by_arms, made_section
from limbeck.report.transfer_set.own_figures import weight
from limbeck.report.transfer_set.together import together_blocks
from limbeck.transfer.evidence import Evidence
from limbeck.transfer.evidence_figures import (
    EvidenceFigure,
    LineFigure,
    MatrixFigure,
    PointsFigure,
    StackedBars,
    TableFigure,
)


def table(rows: int = 3, **more: Any) -> TableFigure:
    content = [[f"pool {place}", 1200 + place, 0.25, None] for place in range(rows)]
    defaults = {"title": "What each pool gave", "columns": ["Pool", "Chosen", "Share", "Lost"], "percent": ["Share"]}
    return TableFigure(rows=content, **{**defaults, **more})


def bars(classes: int = 3, pools: int = 2, **more: Any) -> StackedBars:
    parts = {f"pool {pool}": [place + pool for place in range(classes)] for pool in range(pools)}
    names = [f"kind {place}" for place in range(classes)]
    return StackedBars(title="Images by pool", one="class", part="pool", names=names, parts=parts, **more)


def lines(count: int = 2, *, logarithmic: bool = True) -> LineFigure:
    drawn = {f"kind {place}": ([1, 10, 100], [3.0, 2.0 - place, 1.0]) for place in range(count)}
    marks = dict.fromkeys(drawn, (10, 1.5))
    return LineFigure(
        title="Scores by rank", x="rank", y="margin", lines=drawn, marks=marks, mark="the cut", logarithmic=logarithmic
    )


def matrix(classes: int) -> MatrixFigure:
    names = [f"kind {place}" for place in range(classes)]
    counts = [[9 * (row == column) + 1 for column in range(classes)] for row in range(classes)]
    title = "Wanted and obtained"
    return MatrixFigure(title=title, row="wanted", column="obtained", names=names, counts=counts, note="Of the last.")


def points(count: int = 40, classes: int = 4) -> PointsFigure:
    places = [float(place) for place in range(count)]
    return PointsFigure(
        title="As the teacher sees them",
        points=(places, places[::-1]),
        labels=[place % (classes + 1) - 1 for place in range(count)],
        names=[f"kind {place}" for place in range(classes)],
        parts={"made": count - 10, "real": 10},
    )


def curve(title: str, values: list[float], **more: Any) -> LineFigure:
    defaults: dict[str, Any] = {"x": "round", "y": "", "lines": {title: (range(1, len(values) + 1), values)}}
    return LineFigure(title=title, **{**defaults, "small": True, **more})


ALL: list[EvidenceFigure] = [table(note="All is well."), bars(), lines()]


def test_transfer_sets_show_them(tmp_path: Path) -> None:
    page = page_of(tmp_path, figures=ALL, findings=["12.5 % are of known classes"])
    words = section(page)
    for part in ("What each pool gave", "1,201", "25.0 %", "\N{EN DASH}", "All is well.", "Dots: the cut."):
        assert part in words, part
    assert "<details" not in words
    assert [row["count"] for row in values_of(page, "own-1")] == [1, 2, 1, 2, 3]
    assert len(values(page, "own-2")) == 6
    assert len(values(page, "own-2", 1)) == 2
    assert spec(page, "own-2")["layer"][0]["encoding"]["x"]["scale"]["type"] == "log"
    head = markup(page).split("<section")[0].replace("\N{NO-BREAK SPACE}", " ")
    assert "12.5 % are of known classes." in head
    assert outline(page).scripts == 1


def values_of(page: Path, key: str) -> list[dict[str, Any]]:
    return spec(page, key)["data"]["values"]


def test_runs_show_them(tmp_path: Path) -> None:
    factory.write_json(tmp_path / "status.json", {"state": "finished", "error": None})
    Evidence(headline="Made", figures=ALL, findings=["All are new"]).save(tmp_path / "evidence")
    page = write_run_report(tmp_path)
    assert "What each pool gave" in section(page)
    assert "All are new." in markup(page).split("<section")[0]
    assert outline(page).scripts == 1


@pytest.mark.parametrize("classes", [2, 30, 31, 1000])
def test_any_number_of_classes_and_pools(tmp_path: Path, classes: int) -> None:
    page = page_of(tmp_path, figures=[table(classes), bars(classes, 12), lines(12, logarithmic=False)])
    assert ("<details" in section(page)) == (classes > 30)
    parts = list(dict.fromkeys(row["part"] for row in values_of(page, "own-1")))
    assert len(parts) == 8
    assert parts[-1] == "5 other pools"
    total = sum(place + pool for place in range(classes) for pool in range(12))
    wide = (row.get("high", 1) - row.get("low", 0) for row in values_of(page, "own-1"))
    assert sum(row["count"] * width for row, width in zip(values_of(page, "own-1"), wide, strict=True)) == (
        pytest.approx(total)
    )
    if classes > 30:
        assert f"{classes:,} classes" in json.dumps(spec(page, "own-1"))
    assert ("Each column is the mean of" in section(page)) == (classes > 128)
    assert page.stat().st_size < 3_000_000
    assert outline(page).scripts == 1


@pytest.mark.parametrize("classes", [2, 20, 21, 30])
def test_matrices_of_classes(tmp_path: Path, classes: int) -> None:
    page = page_of(tmp_path, figures=[matrix(classes)])
    words = section(page)
    assert "Each row is a class that was wanted, and sums to 100 %. Of the last." in words
    if classes > 20:
        assert '<img class="matrix"' in words
    else:
        axes = spec(page, "own-0")["layer"][0]["encoding"]
        assert (axes["y"]["title"], axes["x"]["title"]) == ("wanted", "obtained")
        assert len(values(page, "own-0")) == classes**2


@pytest.mark.parametrize("classes", [2, 20, 1000])
def test_maps_of_images(tmp_path: Path, classes: int) -> None:
    page = page_of(tmp_path, figures=[points(40, classes)])
    drawn = spec(page, "own-0")
    rows = values_of(page, "own-0")
    assert len(rows) == 40
    assert [row["part"] for row in rows].count("real") == 10
    assert rows[0]["class"] == "none"
    assert (drawn["encoding"]["color"]["legend"] is None) == (classes > 20)


def test_small_curves_stand_side_by_side_and_shares_are_percent(tmp_path: Path) -> None:
    curves = [curve("Obtained", [0.1, 0.5], share=True), curve("Losses", [1.5, 0.5]), table(), curve("Alone", [1.0])]
    page = page_of(tmp_path, figures=curves)
    words = section(page)
    assert words.count('class="grid') == 1
    assert words.index("Losses") < words.index("What each pool gave") < words.index("Alone")
    layers = [spec(page, f"own-{place}")["layer"][0] for place in (0, 1, 3)]
    formats = [layer["encoding"]["y"]["axis"]["labelExpr"] for layer in layers]
    assert ["~%" in expression for expression in formats] == [True, False, False]
    assert [layer["encoding"]["x"]["axis"]["tickMinStep"] for layer in layers] == [1, 1, 1]
    assert [bool(layer["mark"]["point"]) for layer in layers] == [False, False, True], "one point is a dot"


def test_endless_tables_are_cut(tmp_path: Path) -> None:
    page = page_of(tmp_path, figures=[table(1500)])
    assert "What each pool gave (the first 1,000 of 1,500)" in section(page)
    assert "pool 999<" in section(page)
    assert "pool 1000<" not in section(page)


def test_what_holds_nothing_is_its_note(tmp_path: Path) -> None:
    empty = [
        TableFigure(title="t", columns=["a"], rows=[], note="No pools."),
        StackedBars(title="b", one="class", part="pool", names=[], parts={}, note="No bars."),
        LineFigure(title="l", x="x", y="y", lines={"a": ([], [])}, note="No lines."),
        MatrixFigure(title="m", row="a", column="b", names=["c"], counts=[[0]], note="No cells."),
        PointsFigure(title="p", points=([], []), labels=[], names=[], parts={}, note="No points."),
    ]
    words = section(page_of(tmp_path, figures=empty))
    assert all(f"No {what}." in words for what in ("pools", "bars", "lines", "cells", "points"))
    assert "data-chart" not in words


def test_words_are_escaped(tmp_path: Path) -> None:
    figures: list[EvidenceFigure] = [
        TableFigure(title=EVIL, columns=[EVIL], rows=[[EVIL]], note=EVIL),
        StackedBars(title=EVIL, one=EVIL, part=EVIL, names=[EVIL], parts={EVIL: [1]}, note=EVIL),
        LineFigure(title=EVIL, x=EVIL, y=EVIL, lines={EVIL: ([1], [1])}, marks={EVIL: (1, 1)}, mark=EVIL, note=EVIL),
        MatrixFigure(title=EVIL, row=EVIL, column=EVIL, names=[EVIL], counts=[[1]], note=EVIL),
        PointsFigure(title=EVIL, points=([1], [1]), labels=[0], names=[EVIL], parts={EVIL: 1}, note=EVIL),
    ]
    page = page_of(tmp_path, figures=figures, findings=[EVIL])
    assert outline(page).scripts == 1
    assert EVIL not in page.read_text("utf-8")


def test_captions_stand_below_pictures(tmp_path: Path) -> None:
    shown = factory.pictures("cat, the least sure", 2)
    captioned = type(shown)(**{**vars(shown), "captions": ["lion, zoo", "zoo"]})
    words = section(page_of(tmp_path, pictures=[captioned, factory.pictures("others", 1)], classes=factory.CLASSES))
    assert "<span>lion, zoo</span>" in words
    assert "<span>airplane</span>" in words


def made(folder: Path, arms: dict[str, float], **words: Any) -> list[Made]:
    """What was kept of the makers of a comparison's arms."""
    factory.write_json(folder / "results.json", factory.results(arms, {"500 images": 500}, 1))
    for arm in arms:
        defaults = {"headline": f"By {arm}", "facts": {"budget": "500", "known by name": f"{len(arm)} %"}}
        Evidence(**{**defaults, **words}).save(folder / "evidence" / f"{arm}@500 images")
    return made_by_arms(folder, reading.results(folder))


def styles_of(folder: Path) -> dict[str, style.Arm]:
    return style.arms(reading.results(folder))


def together(arms: int, classes: int = 10) -> list[EvidenceFigure]:
    kinds = [curve("Obtained", [0.1, 0.5], share=True), bars(classes, 2), points(300, classes), matrix(4), table()]
    shown = ("together", "together", "together", "alone", "each")
    return [replace(kind, beside=place) for kind, place in zip(kinds, shown, strict=True)]


def test_figures_of_one_title_stand_beside_one_another(tmp_path: Path) -> None:
    made(tmp_path, {"basic": 0.7, "balanced": 0.72, "random": 0.6}, figures=together(3))
    page = write_comparison_report(tmp_path)
    words = markup(page).split('<section id="made"')[1].split("</section>")[0]
    assert {row["line"] for row in values(page, "together-0")} == {"basic", "balanced", "random"}
    assert len(values(page, "together-0")) == 6
    assert "Images by pool, arm by arm." in words
    for arm in range(3):
        assert spec(page, f"together-1-{arm}")["encoding"]["x"]["scale"]["domain"] == [0, 19], "one axis"
        assert len(values_of(page, f"together-2-{arm}")) == 300
    assert "Wanted and obtained" not in words, "matrices are for the pages of runs"
    assert words.count("<summary>What each pool gave</summary>") == 3, "tables stand for each arm in turn"
    assert outline(page).scripts == 1
    assert len(outline(page).ids) == len(set(outline(page).ids))


def test_many_arms_stand_beside_one_another_and_the_page_stays_light(tmp_path: Path) -> None:
    arms = {f"arm-{place}": 0.6 + place / 100 for place in range(14)}
    evidence = made(tmp_path, arms, figures=together(14, 130))
    section_of = made_section(evidence, Controls([]), styles_of(tmp_path))
    assert section_of is not None
    blocks = list(section_of.blocks)
    grids = [block for block in blocks if isinstance(block, Grid)]
    assert [len(grid.charts) for grid in grids] == [1, 12, 12]
    assert sum("2 more arms would have made this page too heavy" in str(block) for block in blocks) == 2
    assert weight(blocks) < 2_500_000


def test_a_figure_of_one_arm_alone_has_nothing_beside_it(tmp_path: Path) -> None:
    assert not together_blocks({"basic": together(1), "none": []}, {})


def test_comparisons_show_them_arm_by_arm(tmp_path: Path) -> None:
    made(tmp_path, {"margin": 0.7, "random": 0.6}, figures=ALL, findings=["Nothing is known"])
    page = write_comparison_report(tmp_path)
    head, words = (part.replace("\N{NO-BREAK SPACE}", " ") for part in markup(page).split('<section id="made"'))
    assert "First seed of each" in words
    assert '<th scope="col" class="number">known by name</th>' in words
    assert "6 %" in words
    assert words.count("<summary>What each pool gave</summary>") == 2
    assert words.count("All is well.") == 1, "the same of every arm"
    assert "margin at 500 images:" in words
    assert values_of(page, "made-0-1")
    assert "margin at 500 images: Nothing is known." in head
    assert "random at 500 images: Nothing" not in head
    assert len(outline(page).ids) == len(set(outline(page).ids))


def test_heads_of_comparisons_stay_short_and_pages_light(tmp_path: Path) -> None:
    arms = {f"arm-{place}": 0.6 + place / 100 for place in range(12)}
    evidence = made(tmp_path, arms, figures=[table(), bars(130, 8)], findings=["Nothing is known"])
    assert findings(evidence, Controls([])) == ["arm-0 at 500 images: Nothing is known"]
    section_of = made_section(evidence, Controls([]), styles_of(tmp_path))
    assert section_of is not None
    drawn = sum(isinstance(block, Chart) for block in section_of.blocks)
    last = section_of.blocks[-1]
    assert isinstance(last, Note)
    assert last.text == f"Tables and charts of {12 - drawn} more arms are on the pages of their runs."
    assert 1 < drawn < 12


def test_comparisons_whose_makers_tell_no_more_have_no_such_section(tmp_path: Path) -> None:
    evidence = made(tmp_path, {"entropy": 0.7, "random": 0.6}, facts={"budget": "500", "seed": "0"})
    assert made_section(evidence, Controls([]), styles_of(tmp_path)) is None
    assert findings(evidence, Controls([])) == []
