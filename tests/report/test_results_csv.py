"""results.csv and summary.csv: tidy, in order, and read back by pandas as they were."""

import csv
import io
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.report import report_factory as factory

from limbeck.report import write_tables
from limbeck.report.controls import arm_order
from limbeck.report.results_csv import RUN_COLUMNS, SUMMARY_COLUMNS, Comparison, write_csv

PAGE = Path(__file__).parents[2] / "docs" / "reports.md"


def written(folder: Path, results: dict[str, Any]) -> tuple[Any, Any]:
    """Both tables, as pandas reads them."""
    write_tables(folder, results)
    return pd.read_csv(folder / "results.csv"), pd.read_csv(folder / "summary.csv")


def test_a_row_per_run_and_one_per_arm_and_budget(tmp_path: Path) -> None:
    results = factory.results()
    runs, arms = written(tmp_path, results)
    assert list(runs) == list(RUN_COLUMNS)
    assert list(arms) == list(SUMMARY_COLUMNS)
    assert (len(runs), len(arms)) == (len(results["runs"]), len(results["table"]))
    assert not runs.duplicated(["comparison", "arm", "budget", "seed"]).any()
    assert list(dict.fromkeys(runs["arm"])) == list(arm_order(results))
    assert list(runs["images"][runs["arm"] == "entropy"]) == [2250] * 3 + [4500] * 3 + [11250] * 3
    first = next(run for run in results["runs"] if (run["arm"], run["budget"], run["seed"]) == ("entropy", "10 %", 1))
    row = runs[(runs["arm"] == "entropy") & (runs["budget"] == "10 %") & (runs["seed"] == 1)].iloc[0]
    assert row["top1"] == first["last"]
    assert (row["control"], row["steps"], row["making_seconds"]) == (False, 1200, 12.0)
    assert row["energy_kwh"] == pytest.approx(first["cost"]["energy"]["kwh"])
    assert row["energy_kind"] == "estimated"
    means = runs.groupby(["arm", "budget"])["top1"].mean()
    for _, measured in arms.iterrows():
        assert measured["top1"] == pytest.approx(means[measured["arm"], measured["budget"]])
        assert measured["top1_low"] < measured["top1"] < measured["top1_high"]


def test_a_run_that_failed_has_a_row_without_numbers(tmp_path: Path) -> None:
    runs, _ = written(tmp_path, factory.results())
    failed = runs[runs["state"] == "failed"].iloc[0]
    assert failed["images"] == 11250
    assert failed[["top1", "top1_chosen", "steps", "seconds", "energy_kwh", "energy_kind"]].isna().all()
    assert runs["top1"].notna().sum() == len(runs) - 1


def test_arms_of_one_budget_may_differ_in_images(tmp_path: Path) -> None:
    results = factory.results()
    for run in results["runs"]:
        if run["arm"] == "entropy" and run["budget"] == "25 %":
            run["images"] = None if run["state"] == "failed" else 45
    runs, _ = written(tmp_path, results)
    images = runs[runs["budget"] == "25 %"].groupby("arm")["images"].unique().map(list)
    assert images["entropy"] == [45]
    assert images["random"] == images["balanced-random"] == [11250]


def test_the_verdict_is_the_one_of_the_strictest_control(tmp_path: Path) -> None:
    results = factory.results()
    for row in results["differences"]:
        row.update(p=0.01, tests=2, p_adjusted=0.02)
    _, arms = written(tmp_path, results)
    assert set(arms["against"].dropna()) == {"balanced-random"}
    assert arms["verdict"].dropna().tolist() == ["worse", "worse", "within seed noise"]
    assert arms["verdict"][arms["control"]].isna().all()
    assert set(arms["p_adjusted"].dropna()) == {0.02}
    alone = factory.results(seeds=1)
    _, arms = written(tmp_path, alone)
    assert set(arms["verdict"].dropna()) == {"one seed only"}
    assert arms[["top1_low", "top1_high", "top1_std", "difference_low"]].isna().all(axis=None)


def test_names_and_numbers_that_csv_could_break_read_back(tmp_path: Path) -> None:
    results = factory.results({'α, the "first"\nof two': 0.7, "random": 0.7}, seeds=2)
    results["runs"][0].update(last=float("nan"))
    runs, _ = written(tmp_path, results)
    assert runs["arm"][0] == 'α, the "first"\nof two'
    assert pd.isna(runs["top1"][0])
    text = (tmp_path / "results.csv").read_text("utf-8")
    assert "nan" not in text.lower()
    assert next(csv.DictReader(io.StringIO(text)))["arm"] == runs["arm"][0]


def test_several_comparisons_are_one_table_with_a_column_for_each(tmp_path: Path) -> None:
    both = [Comparison(name, tmp_path, factory.results()) for name in ("b", "a")]
    write_csv(both, tmp_path)
    runs: Any = pd.read_csv(tmp_path / "results.csv")
    assert list(dict.fromkeys(runs["comparison"])) == ["b", "a"]
    assert not runs.duplicated(["comparison", "arm", "budget", "seed"]).any()


def test_before_a_run_has_finished_there_are_columns_alone(tmp_path: Path) -> None:
    results = factory.results(seeds=1)
    for run in results["runs"]:
        run.update(state="missing", images=None, last=None, chosen=None, cost=None)
    runs, arms = written(tmp_path, results | {"table": [], "differences": []})
    assert set(runs["state"]) == {"missing"}
    assert runs["images"].isna().all()
    assert arms.empty


def test_runs_of_earlier_versions_have_what_they_counted(tmp_path: Path) -> None:
    runs, _ = written(tmp_path, factory.of_before(factory.results()))
    assert runs["making_seconds"].isna().all()
    assert runs["seconds"].notna().sum() == len(runs) - 1


@pytest.mark.parametrize(("heading", "columns"), [("results.csv", RUN_COLUMNS), ("summary.csv", SUMMARY_COLUMNS)])
def test_every_column_is_documented(heading: str, columns: Any) -> None:
    part = PAGE.read_text("utf-8").split(f"### `{heading}`")[1].split("\n#")[0]
    cells = re.findall(r"^\| (`[^|]*`) \|", part, re.MULTILINE)
    assert [name for row in cells for name in re.findall(r"`(\w+)`", row)] == list(columns)
