"""Arms that ask their teacher more often than their control are told, with what adds controls that ask as often."""

import json
from pathlib import Path
from typing import Any

from tests.report import report_factory as factory

from limbeck.recipes.controls import controls_beside
from limbeck.recipes.passes import compared_passes
from limbeck.report.blocks import Table
from limbeck.report.comparison import write_comparison_report
from limbeck.report.passes import passes_table, passes_warning

GENERATE = {"maker": "generate", "asked_as_often": True}
MEND = "asked_as_often: true"
CONTROLS = [
    {"name": "procedural", "label": "procedural images", "kind": "budget", "teacher": True, "strict": 2},
    {"name": "procedural-asked", "label": "asked as often", "kind": "budget", "teacher": True, "strict": 1},
]


def results(*rows: dict[str, Any]) -> dict[str, Any]:
    runs = [{"arm": arm, "control": False} for arm in ("fast", "cmi")]
    return {"passes": list(rows), "controls": CONTROLS, "runs": runs}


def row(arm: str, passes: int, **beside: int) -> dict[str, Any]:
    controls = [
        {"name": name.replace("_", "-"), "passes": count, "equal": "asked" in name} for name, count in beside.items()
    ]
    return {"arm": arm, "budget": "20", "passes": passes, "controls": controls, "mend": MEND}


def test_passes_are_those_of_making_and_teaching_of_an_arm_and_of_what_it_is_set_against() -> None:
    arms = {"fast": GENERATE, "entropy": {"maker": "select", "criterion": "entropy"}}
    passes = {"fast": 900, "entropy": 500, "procedural": 300, "noise": 300, "procedural-asked": 880, "random": 300}
    table = [{"arm": arm, "budget": "20", "teacher_passes": count} for arm, count in passes.items()]
    pairs = [{"arm": "fast", "control": "procedural"}, {"arm": "entropy", "control": "random"}]
    assert compared_passes(arms, controls_beside(arms), table, pairs) == [
        row("fast", 900, procedural=300, procedural_asked=880)
    ]
    assert compared_passes(arms, controls_beside(arms), table[:1], pairs) == [], "no control has finished"


def test_an_arm_that_asked_more_than_all_of_its_controls_is_told() -> None:
    rows = [row("fast", 800, procedural=400), row("cmi", 4000, procedural=400)]
    assert passes_warning(results(*rows)) == [
        "Not at equal teacher passes: cmi asked the teacher 10.0 times as often as procedural images, and 1 other arm "
        "more than 1.5 times; asked_as_often: true in these arms adds controls that ask as often"
    ]
    for even in (row("fast", 590, procedural=400), row("fast", 800, procedural=400, procedural_asked=790)):
        assert passes_warning(results(even)) == []
    assert passes_warning(results(row("fast", 800, procedural=0)))[0].count("800.0 times") == 1


def test_both_stand_side_by_side() -> None:
    table, _ = passes_table(results(row("fast", 800, procedural=400, procedural_asked=790)))
    assert isinstance(table, Table)
    assert [cells[1:] for cells in table.rows] == [
        ("20", "800", "procedural images", "400", "2.0"),
        ("20", "800", "asked as often", "790", "1.0"),
    ]
    assert passes_table({"controls": [], "runs": []}) == [], "results of earlier versions"


def test_the_page_says_so(tmp_path: Path) -> None:
    folder = factory.write_comparison(tmp_path / "digits", galleries=False)
    content = json.loads((folder / "results.json").read_text())
    content["passes"] = [row("entropy", 4000, random=400)]
    factory.write_json(folder / "results.json", content)
    page = write_comparison_report(folder).read_text()
    assert "Not at equal teacher passes: entropy asked the teacher 10.0 times as often as random" in page
    assert "How often the teacher was asked for an arm and for its controls" in page
