"""What a comparison says of the images that its arms chose."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.report import report_factory as factory
from tests.report.test_pages import markup, outline
from tests.report.transfer_set.test_old_layouts import values

from limbeck.errors import UserError
from limbeck.report import reading, write_comparison_report
from limbeck.report.transfer_set.overlap import overlap_section
from limbeck.transfer.evidence import Evidence

LEVELS = {"entropy": 0.70, "margin": 0.71, "random": 0.71, "balanced-random": 0.715, "no-teacher": 0.64}
BUDGETS = {"10 %": 4500, "25 %": 11250}


def comparison(folder: Path, *, arms: dict[str, float] | None = None, seeds: int = 2, **options: Any) -> Path:
    content = factory.results(arms or LEVELS, BUDGETS, seeds)
    factory.write_json(folder / "results.json", content)
    return factory.write_selections(folder, **options)


def words_of(folder: Path) -> str:
    words = markup(write_comparison_report(folder))
    start = words.index('<section id="overlap"')
    return words[start : words.index("</section>", start)].replace("\N{NO-BREAK SPACE}", " ")


def chosen(folder: Path, run: str) -> np.ndarray:
    table = pq.read_table(folder / "runs" / run / "evidence" / "table.parquet")
    return table["id"].to_numpy()[table["chosen"].to_numpy()]


def test_criteria_are_set_against_one_another(tmp_path: Path) -> None:
    words = words_of(comparison(tmp_path))
    for part in (
        "What the arms chose",
        "with seed 0",
        "Shared by two arms at 10 %",
        "Each chose 90 of 900 images. Two draws by chance would share 10.0 %, give or take 6.0 points",
        "At 25 %, seed 0: 225 images each",
        "Away from even is the share",
        "100.0 %",
    ):
        assert part in words, part
    assert "no teacher" not in words
    assert outline(tmp_path / "report.html").scripts == 1


def test_shares_are_those_of_the_ids(tmp_path: Path) -> None:
    page = write_comparison_report(comparison(tmp_path))
    pairs = {(row["arm"], row["other"]): row for row in values(page, "overlap-0")}
    assert len(pairs) == 6
    both = len(set(chosen(tmp_path, "margin@10 %/seed-0")) & set(chosen(tmp_path, "entropy@10 %/seed-0")))
    assert pairs["margin", "entropy"]["both"] == both
    assert pairs["margin", "entropy"]["share"] == pytest.approx(both / 90)
    assert pairs["balanced random", "random"]["share"] == 1
    assert pairs["balanced random", "random"]["shade"] == 1


def test_what_nothing_draws_is_chosen_again(tmp_path: Path) -> None:
    section = overlap_section(comparison(tmp_path), reading.results(tmp_path))
    assert section is not None
    tables = [block for block in section.blocks if block.kind == "table"]
    rows = {row[0].text: row for row in tables[0].rows}
    assert rows["entropy"][-1] == "100.0 %"
    random = [set(chosen(tmp_path, f"random@10 %/seed-{seed}")) for seed in (0, 1)]
    assert rows["random"][-1] == f"{len(random[0] & random[1]) / 0.9:.1f} %"
    counts = np.bincount(chosen(tmp_path, "entropy@10 %/seed-0") // 3 % 10, minlength=10)
    assert rows["entropy"][1] == f"{counts.min()} ({factory.CLASSES[counts.argmin()]})"
    assert rows["entropy"][3] == f"{np.abs(counts - 9).sum() / 1.8:.1f} %"


def test_one_seed_and_no_labels(tmp_path: Path) -> None:
    words = words_of(comparison(tmp_path, seeds=1, classes=0))
    assert "Fewest of a class" not in words
    assert "Chosen again" in words
    assert "\N{EN DASH}" in words


def test_two_arms_are_enough_and_one_says_nothing(tmp_path: Path) -> None:
    two = comparison(tmp_path / "two", arms={"entropy": 0.7, "random": 0.71})
    assert len(values(write_comparison_report(two), "overlap-0")) == 1
    alone = comparison(tmp_path / "one", arms={"entropy": 0.7})
    assert 'id="overlap"' not in markup(write_comparison_report(alone))


def test_many_arms_stay_light_and_similar_ones_lie_side_by_side(tmp_path: Path) -> None:
    arms = {f"arm-{'x' * i}": 0.6 + i / 100 for i in range(23)} | {"random": 0.71, "balanced-random": 0.72}
    folder = comparison(tmp_path, arms=arms, seeds=1)
    section = overlap_section(folder, reading.results(folder))
    assert section is not None
    assert [block.kind for block in section.blocks] == ["note", "chart", "table", "chart", "table", "note"]
    charts = [block for block in section.blocks if block.kind == "chart"]
    assert sum(len(chart.figure.svg) + len(chart.figure.spec) for chart in charts) < 400_000
    names = [row[0].text for row in section.blocks[2].rows]
    assert abs(names.index("random") - names.index("balanced random")) == 1
    assert names == [row[0].text for row in section.blocks[4].rows]


def test_arms_that_left_nothing_are_named(tmp_path: Path) -> None:
    folder = comparison(tmp_path)
    shutil.rmtree(folder / "runs/margin@10 %/seed-0/evidence")
    words = words_of(folder)
    assert "Without a choice of that seed: margin at 10 %." in words
    assert len(values(folder / "report.html", "overlap-0")) == 3
    assert len(values(folder / "report.html", "overlap-1")) == 6


def test_comparisons_of_before_and_without_budgets_say_nothing(tmp_path: Path) -> None:
    factory.write_json(tmp_path / "results.json", factory.results())
    assert 'id="overlap"' not in markup(write_comparison_report(tmp_path))
    factory.write_json(tmp_path / "results.json", factory.objectives({"kd": 0.6, "crd": 0.61}))
    assert 'id="overlap"' not in markup(write_comparison_report(tmp_path))


def test_broken_selection_says_what_to_do(tmp_path: Path) -> None:
    folder = comparison(tmp_path)
    (folder / "runs/margin@10 %/seed-1/evidence/table.parquet").write_bytes(b"no table")
    with pytest.raises(UserError, match=r"table\.parquet cannot be read .* Delete it and report again"):
        write_comparison_report(folder)


def test_selections_of_before_are_read(tmp_path: Path) -> None:
    words = words_of(comparison(tmp_path, before=True))
    assert "Each chose 90 of 900 images." in words
    assert "At 25 %, seed 0: 225 images each" in words


def rewrite(folder: Path, arm: str, change: Any) -> None:
    """Other rows for all runs of an arm."""
    for path in folder.glob(f"runs/{arm}@*/*/evidence"):
        columns = pq.read_table(path / "table.parquet").to_pydict()
        columns = change({name: np.array(column) for name, column in columns.items()})
        Evidence(headline=arm, rows=lambda columns=columns: iter([columns])).save(path)


def test_images_of_several_sources_are_told_apart(tmp_path: Path) -> None:
    folder = comparison(tmp_path, seeds=1)
    for arm in LEVELS:
        rewrite(folder, arm, lambda columns: columns | {"source": np.where(columns["id"] % 2, "odd", "even")})
    same = values(write_comparison_report(folder), "overlap-0")
    assert len(same) == 6
    both = {(row["arm"], row["other"]): row["both"] for row in same}

    def swapped(columns: dict[str, Any]) -> dict[str, Any]:
        return columns | {"source": np.where(columns["source"] == "odd", "even", "odd")}

    rewrite(folder, "margin", swapped)
    other = {(row["arm"], row["other"]): row["both"] for row in values(write_comparison_report(folder), "overlap-0")}
    assert other["margin", "entropy"] == 0 < both["margin", "entropy"]
    assert other["balanced random", "random"] == both["balanced random", "random"]


def test_arms_that_looked_through_other_images_or_left_none_out_are_not_compared(tmp_path: Path) -> None:
    folder = comparison(tmp_path, seeds=1)
    rewrite(folder, "margin", lambda columns: columns | {"source": np.full(len(columns["id"]), "elsewhere")})
    assert len(values(write_comparison_report(folder), "overlap-0")) == 3
    rewrite(folder, "entropy", lambda columns: columns | {"chosen": np.ones(len(columns["id"]), dtype=bool)})
    page = write_comparison_report(folder)
    assert len(values(page, "overlap-0")) == 1
    assert ">margin<" not in words_of(folder)


def test_arms_that_chose_unequally_many(tmp_path: Path) -> None:
    folder = comparison(tmp_path, seeds=1)
    rewrite(folder, "margin", lambda columns: columns | {"chosen": columns["chosen"] & (columns["id"] % 2 == 0)})
    fewer = len(chosen(folder, "margin@10 %/seed-0"))
    words = words_of(folder)
    assert f"They chose {fewer} to 90 of 900 images. Two draws by chance would share 10.0 % of the smaller" in words
    assert f"At 10 %, seed 0: {fewer} to 90 images" in words
    pairs = {(row["arm"], row["other"]): row["chance"] for row in values(folder / "report.html", "overlap-0")}
    assert set(pairs.values()) == {0.1}  # one of each pair chose 90
