"""The section of a comparison that raced."""

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.report import report_factory as factory
from tests.report.test_pages import markup, outline
from typer.testing import CliRunner

from limbeck.cli import display, summary
from limbeck.cli.main import app
from limbeck.recipes import compare as compare_module
from limbeck.report import comparison_charts, comparison_tables, reading, write_comparison_report
from limbeck.report.blocks import Chart, Note, Table
from limbeck.report.racing import racing_section

SETTINGS = {"by": "steps", "rungs": None, "keep": 0.5, "confidence": 0.9}
SAVED = {"steps": 2700, "seconds": 340.0, "teacher_passes": 172_800}


def raced(folder: Path, *arms: str) -> dict[str, Any]:
    """Makes of a comparison one that stopped these arms at its smallest budget, and gives its results."""
    path = factory.write_comparison(folder, galleries=False) / "results.json"
    results = json.loads(path.read_text())
    budget = results["runs"][0]["budget"]
    stopped = {(arm, budget) for arm in arms}
    reason = {"rung": "25 % of the steps", "share": 0.25, "budget": budget, "against": "random", "n": 3}
    reason |= {"accuracy": 0.41, "difference": -0.123, "low": -0.16, "high": -0.086, "projected": -0.1, "reach": -0.05}
    for run in results["runs"]:
        if (run["arm"], run["budget"]) in stopped:
            run |= {"state": "dropped", "last": None, "chosen": None, "cost": None, "images": None}
            run["dropped"] = {"step": 300, "steps": 1200, "why": reason}
    for part in ("table", "differences"):
        results[part] = [row for row in results[part] if (row["arm"], row["budget"]) not in stopped]
    results["racing"] = {
        "settings": SETTINGS,
        "rungs": ["25 % of the steps", "50 % of the steps"],
        "standings": [],
        "dropped": [{**reason, "arm": arm, "budget": budget, "runs": 3} for arm in arms],
        "spent": {"seconds": 61.0},
        "saved": SAVED,
        "share": 0.07,
    }
    path.write_text(json.dumps(results))
    return results


def test_who_stopped_where_and_what_it_saved(tmp_path: Path) -> None:
    results = raced(tmp_path, "entropy")
    dropped = next(run for run in results["runs"] if run["state"] == "dropped")
    dropped |= {"state": "finished", "last": 0.123456, "images": 450, "cost": factory.cost(450, 100)}  # of three seeds
    (tmp_path / "results.json").write_text(json.dumps(results))
    page = write_comparison_report(tmp_path)
    outline(page)
    text = markup(page).replace("\N{NO-BREAK SPACE}", " ")
    for words in (
        "Stopped early",
        f"entropy at {dropped['budget']} stopped at 25 % of the steps. That saved about 7 % of the steps of all runs",
        "2,700 steps, 5 min 40 s and 172,800 teacher passes",
        "−12.3",
        "−16.0 to −8.6",
        "outside of the best 50 % of the arms",
        "a doubt of 10 % among all decisions",
        "1 min 01 s, is not among the costs",
        "Validation top-1, ",
        "dropped",
    ):
        assert words in text, words
    unfinished = sum(run["state"] not in ("finished", "dropped") for run in results["runs"])
    assert f"{unfinished} of {len(results['runs'])} runs did not finish" in text
    assert "0.123456" not in page.read_text("utf-8")  # an arm of which some seeds finished is in no chart
    assert "0.123456" not in (tmp_path / "frontier.svg").read_text("utf-8")


def test_finished_seeds_of_an_arm_that_stopped_are_in_no_chart_or_table_of_results(tmp_path: Path) -> None:
    results = raced(tmp_path, "entropy")
    stopped = [run for run in results["runs"] if run["state"] == "dropped"]
    for run in stopped[:2]:  # as where arms race by seeds
        run |= {"state": "finished", "last": 0.6, "images": 2250, "cost": factory.cost(2250, 100)}
    results["runs"] = reading.with_images(results["runs"])
    place = (stopped[0]["budget"], "entropy")
    assert place not in comparison_charts.metrics_by_arm(tmp_path, results)
    section = comparison_tables.cost_section(results)
    assert section is not None
    note, table = section.blocks[:2]
    assert isinstance(note, Note)
    assert isinstance(table, Table)
    rows = [(row[1], getattr(row[0], "text", row[0])) for row in table.rows]
    assert place not in rows
    assert ("10 %", "entropy") in rows
    counted = sum(run["state"] == "finished" for run in results["runs"]) - 2
    assert note.text.startswith(f"All {counted} runs together took")
    results["runs"] = [run for run in results["runs"] if run["budget"] == place[0]]
    section = comparison_charts.classes_section(tmp_path, results)
    assert section is not None
    chart = section.blocks[0]
    assert isinstance(chart, Chart)
    assert "entropy" not in chart.figure.label


def test_nobody_stopped_or_could_have(tmp_path: Path) -> None:
    results = raced(tmp_path)
    section = racing_section(tmp_path, results, {})
    assert section is not None
    (note,) = section.blocks
    assert isinstance(note, Note)
    sentence = "No arm was beyond reach of the best at a rung (25 % of the steps, 50 % of the steps)"
    assert note.text == f"{sentence} so far."  # a run failed, and may be tried again
    results["runs"] = [run for run in results["runs"] if run["state"] == "finished"]
    section = racing_section(tmp_path, results, {})
    assert section is not None
    assert section.blocks == [Note(f"{sentence}, so that all runs went on to their end.")]
    assert racing_section(tmp_path, {**results, "racing": None}, {}) is None
    results.pop("racing")  # as earlier versions wrote it
    assert racing_section(tmp_path, results, {}) is None


def test_all_arms_but_controls_stopped(tmp_path: Path) -> None:
    results = raced(tmp_path, *{run["arm"] for run in factory.results()["runs"] if not run["control"]})
    for run in results["runs"]:  # they wrote nothing: the ladder was one of budgets
        if run["state"] == "dropped":
            run["dropped"] |= {"step": 0, "steps": None}
    (tmp_path / "results.json").write_text(json.dumps(results))
    assert "Stopped early" in markup(write_comparison_report(tmp_path))


def test_terminal_says_it_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = raced(tmp_path, "entropy")
    console = Console(width=400, record=True, highlight=False)
    for module in (display, summary):
        monkeypatch.setattr(module, "console", console)
        monkeypatch.setattr(module, "errors", console)
    summary.show_summary(results, tmp_path)
    words = console.export_text()
    assert f"entropy at {results['racing']['dropped'][0]['budget']} stopped at 25 % of the steps. That saved" in words
    assert "dropped" not in words


def test_arms_that_stopped_are_no_failures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = raced(tmp_path, "entropy")
    results["runs"] = [run for run in results["runs"] if run["state"] in ("finished", "dropped")]
    monkeypatch.setattr(compare_module, "compare", lambda *arguments, **named: results)
    command = ["compare", "digits-demo", "--out", str(tmp_path)]
    assert CliRunner().invoke(app, command).exit_code == 0
    results["runs"][0] |= {"state": "failed", "error": "the loss is not finite"}
    assert CliRunner().invoke(app, command).exit_code == 1
