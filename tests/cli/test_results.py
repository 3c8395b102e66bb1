"""What the terminal shows of comparisons and runs."""

from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from tests.report import report_factory as factory

from limbeck.cli import display, results


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> Console:
    """A terminal of 80 columns."""
    console = Console(width=80, record=True, highlight=False)
    for module in (display, results):
        monkeypatch.setattr(module, "console", console)
    return console


def comparison() -> dict[str, Any]:
    content = factory.results()
    for row in content["runs"]:
        if row["cost"] and row["arm"] == "entropy":
            row["cost"] = factory.cost(row["images"], 2_300_000, asked=20_000)
    return content | {"table": factory.table(content["runs"])}


def test_a_comparison_fits_a_narrow_terminal_with_all_its_costs(narrow: Console) -> None:
    results.show_tables(comparison())
    words = narrow.export_text()
    assert max(map(len, words.splitlines())) <= 80
    _, costs = words.split("cost of making and teaching")
    line = next(line for line in costs.splitlines() if line.startswith("  entropy"))
    assert line.split() == ["entropy", "2.3", "M", "0", "161", "12.0", "1.2"]
    assert "cifar10-entropy: top-1 in %" in words


def test_of_comparisons_of_before_nobody_knows_what_making_took(narrow: Console) -> None:
    results.show_tables(factory.of_before(comparison()))
    _, costs = narrow.export_text().split("cost of making and teaching")
    line = next(line for line in costs.splitlines() if line.startswith("  entropy"))
    assert line.split()[-3:] == ["161", "–", "1.2"]


@pytest.mark.parametrize("before", [True, False])
def test_a_run_tells_what_it_took(narrow: Console, before: bool) -> None:
    cost = factory.cost_of_before(4500, 60_000) if before else factory.cost(4500, 40_000, asked=20_000, saved=1_234)
    results.show_run(SimpleNamespace(evaluation=None, evaluation_chosen=None, cost=cost, validation=None))
    words = " ".join(narrow.export_text().split())
    assert "4,500 images, 60,000 teacher passes" in words
    assert ("(1,234 of them from the view cache), 161 s (7 % making the transfer set)" in words) is not before
    assert "Wh (estimated)" in words


@pytest.mark.parametrize(("kwh", "expected"), [(0.0, "–"), (1.234e-6, "0.0012"), (0.0456, "46"), (1.234, "1,234")])
def test_watt_hours(kwh: float, expected: str) -> None:
    assert results.watt_hours(kwh) == expected
