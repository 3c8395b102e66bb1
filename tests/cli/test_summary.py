"""What a comparison found fits a screen, however it went."""

from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console
from tests.report import report_factory as factory

from limbeck.cli import display, summary
from limbeck.report.controls import arm_order

Row = dict[str, Any]


def shown(
    results: Row, monkeypatch: pytest.MonkeyPatch, *, width: int = 80, folder: str = "runs/x", terminal: bool = False
) -> str:
    console = Console(width=width, record=True, highlight=False, emoji=False, force_terminal=terminal)
    for module in (display, summary):
        monkeypatch.setattr(module, "console", console)
        monkeypatch.setattr(module, "errors", console)
    summary.show_summary(results, Path(folder))
    return console.export_text()


def table_of(words: str) -> list[str]:
    lines = words.splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("top-1 in %"))
    end = next(index for index, line in enumerate(lines) if line.startswith("* a control"))
    return [line.rstrip() for line in lines[start + 1 : end]]


def test_a_comparison_is_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    results = factory.results()
    words = shown(results, monkeypatch)
    assert len(words.splitlines()) <= 22
    assert max(map(cell_len, words.splitlines())) <= 80
    assert "cifar10-entropy: entropy is below balanced random beyond seed noise at 5 %" in words
    assert "mean ± 95 % interval over 2 to 3 seeds" in words, "one run failed"
    means = {(row["arm"], row["budget"]): f"{100 * row['mean']:.2f}" for row in results["table"]}
    header, *rows = table_of(words)
    assert " ".join(header.split()) == "5 % = 2,250 10 % = 4,500 25 % = 11,250 100 % = 45,000"
    assert [row.split("  ")[0] for row in rows] == [
        f"{arm}{'' if arm == 'entropy' else ' *'}" for arm in arm_order(results)
    ]
    assert all(means["balanced-random", budget] in rows[1] for budget in ("5 %", "10 %", "25 %"))
    assert "no-teacher at 25 %, seed 2: failed: loss is not finite at step 340" in words
    assert "All 41 runs together took 1 h 51 min" in words
    last = (
        "report: runs/x/report.html; results.csv, results.tex beside it\nall tables: `limbeck report runs/x --tables`\n"
    )
    assert words.endswith(last)


def test_signs_say_what_is_beyond_seed_noise_of_the_strictest_control(monkeypatch: pytest.MonkeyPatch) -> None:
    results = factory.results()
    for row in results["differences"]:
        row.update(mean=0.02, low=0.01, high=0.03, beyond_noise=row["against"] != "balanced-random")
    assert "▲" not in shown(results, monkeypatch)
    assert "* a control; no arm is beyond seed noise of balanced random" in shown(results, monkeypatch)
    for row in results["differences"]:
        if row["against"] == "balanced-random":
            better = row["budget"] == "5 %"
            low, high = (0.01, 0.03) if better else (-0.03, -0.01)
            row.update(mean=(low + high) / 2, low=low, high=high, beyond_noise=row["budget"] != "25 %")
    words = shown(results, monkeypatch)
    assert [table_of(words)[1].count(sign) for sign in "▲▼"] == [1, 1]
    assert "".join(table_of(words)[2:]).count("▲") == 0
    assert "* a control; ▲ better or ▼ worse than balanced random beyond seed noise" in words


def test_arms_with_other_controls_are_held_against_the_strictest_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    results = factory.results({**factory.LEVELS, "other": 0.9})
    results["differences"] = [
        row
        for row in results["differences"]
        if row["against"] != ("balanced-random" if row["arm"] == "other" else "random")
    ]
    words = shown(results, monkeypatch)
    assert "▲ better or ▼ worse than the strictest control beyond seed noise" in words
    assert next(row for row in table_of(words) if row.startswith("other")).count("▲") == 3


def test_a_single_seed_tells_no_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    words = shown(factory.results(seeds=1), monkeypatch)
    assert "top-1 in % after the last step, one seed" in words
    assert "* a control; one seed cannot tell what is beyond seed noise" in words
    assert "±" not in words


def test_comparisons_without_budgets_or_of_before(monkeypatch: pytest.MonkeyPatch) -> None:
    arms = {**{f"arm-{number}": 0.5 + number / 100 for number in range(20)}, "full-no-teacher": 0.6}
    results = factory.objectives(arms)
    header, *rows = table_of(shown(results, monkeypatch))
    assert header.strip() == "all = 45,000"
    assert len(rows) == 21
    assert "top-1 in % after the last step, mean ± 95 % interval over 3 seeds\n" in shown(results, monkeypatch)
    assert "All 41 runs" in shown(factory.of_before(factory.results()), monkeypatch)


@pytest.mark.parametrize("width", [80, 60, 40])
def test_wide_comparisons_are_shown_in_parts(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    budgets = {f"{count} images": count for count in (10, 20, 50, 100, 200, 500, 1000, 2000)}
    arms = {f"an-arm-with-a-name-that-has-no-end-{number}": 0.2 + number / 50 for number in range(20)}
    results = factory.results({**arms, **factory.LEVELS}, budgets)
    words = shown(results, monkeypatch, width=width)
    table = table_of(words)
    assert max(map(cell_len, table)) <= width
    assert "…" not in words
    for row in results["table"]:
        assert any(f"{100 * row['mean']:.2f}" in line for line in table)
    headers = [part.strip() for line in table if " images" in line for part in line.split("  ") if part.strip()]
    assert headers == [*budgets, "100 % = 45,000"] or headers == [*budgets]
    assert "more in the report)" in " ".join(words.split())


def test_nothing_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    results = factory.results() | {"table": [], "differences": []}
    for run in results["runs"]:
        run.update(state="failed", error="the loss\nis not " + "finite " * 20, cost=None)
    words = shown(results, monkeypatch)
    assert "Nothing can be said yet" in words
    assert "top-1 in %" not in words
    failed = [line for line in words.splitlines() if ": failed: the loss is not finite" in line]
    assert len(failed) == 6
    assert "and 36 more, see Runs in the report" in words
    words = shown(results, monkeypatch, terminal=True)
    failed = [line for line in words.splitlines() if ": failed: the loss is not finite" in line]
    assert all(len(line) <= 80 and line.endswith("…") for line in failed)


def test_the_command_that_it_names_can_be_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "`limbeck report 'my runs/x' --tables`" in shown(factory.results(), monkeypatch, folder="my runs/x")


def test_units_stay_with_their_numbers(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(display, "console", Console(width=13, highlight=False))
    display.show_paragraph("a seed more 10 % of n = 3 seeds")
    assert capsys.readouterr().out.splitlines() == ["a seed more", "10 % of", "n = 3 seeds"]
