"""What a comparison says of the images that its criteria chose."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.report import report_factory as factory
from tests.report.test_pages import markup, outline
from tests.report.transfer_set.test_section import values

from limbeck.errors import UserError
from limbeck.report import reading, write_comparison_report
from limbeck.report.transfer_set.overlap import criteria_section

LEVELS = {"entropy": 0.70, "margin": 0.71, "random": 0.71, "balanced-random": 0.715, "no-teacher": 0.64}
BUDGETS = {"10 %": 4500, "25 %": 11250}


def comparison(folder: Path, *, arms: dict[str, float] | None = None, seeds: int = 2, **options: Any) -> Path:
    content = factory.results(arms or LEVELS, BUDGETS, seeds)
    factory.write_json(folder / "results.json", content)
    return factory.write_selections(folder, **options)


def words_of(folder: Path) -> str:
    words = markup(write_comparison_report(folder))
    start = words.index('<section id="criteria"')
    return words[start : words.index("</section>", start)].replace("\N{NO-BREAK SPACE}", " ")


def chosen(folder: Path, run: str) -> np.ndarray:
    table = pq.read_table(folder / "runs" / run / "selection.parquet")
    return table["id"].to_numpy()[table["chosen"].to_numpy()]


def test_criteria_are_set_against_one_another(tmp_path: Path) -> None:
    words = words_of(comparison(tmp_path))
    for part in (
        "What the criteria chose",
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
    found = {(row["arm"], row["other"]): row for row in values(page, "overlap-0")}
    assert len(found) == 6
    both = len(set(chosen(tmp_path, "margin@10 %/seed-0")) & set(chosen(tmp_path, "entropy@10 %/seed-0")))
    assert found["margin", "entropy"]["both"] == both
    assert found["margin", "entropy"]["share"] == pytest.approx(both / 90)
    assert found["balanced random", "random"]["share"] == 1
    assert found["balanced random", "random"]["shade"] == 1


def test_what_nothing_draws_is_chosen_again(tmp_path: Path) -> None:
    section = criteria_section(comparison(tmp_path), reading.results(tmp_path))
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
    one = comparison(tmp_path / "one", arms={"entropy": 0.7})
    assert 'id="criteria"' not in markup(write_comparison_report(one))


def test_many_arms_stay_light_and_similar_ones_lie_side_by_side(tmp_path: Path) -> None:
    arms = {f"arm-{'x' * i}": 0.6 + i / 100 for i in range(23)} | {"random": 0.71, "balanced-random": 0.72}
    folder = comparison(tmp_path, arms=arms, seeds=1)
    section = criteria_section(folder, reading.results(folder))
    assert section is not None
    assert [block.kind for block in section.blocks] == ["note", "chart", "table", "chart", "table", "note"]
    charts = [block for block in section.blocks if block.kind == "chart"]
    assert sum(len(chart.figure.svg) + len(chart.figure.spec) for chart in charts) < 400_000
    names = [row[0].text for row in section.blocks[2].rows]
    assert abs(names.index("random") - names.index("balanced random")) == 1
    assert names == [row[0].text for row in section.blocks[4].rows]


def test_arms_that_left_nothing_are_named(tmp_path: Path) -> None:
    folder = comparison(tmp_path)
    (folder / "runs/margin@10 %/seed-0/selection.parquet").unlink()
    words = words_of(folder)
    assert "Without a selection of that seed: margin at 10 %." in words
    assert len(values(folder / "report.html", "overlap-0")) == 3
    assert len(values(folder / "report.html", "overlap-1")) == 6


def test_comparisons_of_before_and_without_budgets_say_nothing(tmp_path: Path) -> None:
    factory.write_json(tmp_path / "results.json", factory.results())
    assert 'id="criteria"' not in markup(write_comparison_report(tmp_path))
    factory.write_json(tmp_path / "results.json", factory.objectives({"kd": 0.6, "crd": 0.61}))
    assert 'id="criteria"' not in markup(write_comparison_report(tmp_path))


def test_broken_selection_says_what_to_do(tmp_path: Path) -> None:
    folder = comparison(tmp_path)
    (folder / "runs/margin@10 %/seed-1/selection.parquet").write_bytes(b"no table")
    with pytest.raises(UserError, match=r"selection\.parquet cannot be read .* Delete it and report again"):
        write_comparison_report(folder)
