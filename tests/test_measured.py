"""Measurements that the site shows name methods that exist, and agree with the lab notes below that heading."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from limbeck.objectives.catalogue import OBJECTIVES
from limbeck.transfer.borrow.settings import CRITERIA as BORROW
from limbeck.transfer.condense.methods import METHODS as CONDENSE
from limbeck.transfer.criteria import CRITERIA
from limbeck.transfer.generate.methods import METHODS as GENERATE

DOCS = Path(__file__).parents[1] / "docs"
FAMILIES = {
    "objectives": OBJECTIVES.built_in,
    "criteria": CRITERIA.built_in,
    "borrow": BORROW,
    "generate": GENERATE,
    "condense": CONDENSE,
}
STUDIES: list[dict[str, Any]] = yaml.load(
    (DOCS / "results" / "measured.yaml").read_text(encoding="utf-8"), Loader=yaml.BaseLoader
)


def sections() -> dict[str, str]:
    """Heading of the lab notes -> what stands below it, on one line."""
    notes = (DOCS / "lab-notes.md").read_text(encoding="utf-8")
    _, *parts = re.split(r"^## ", notes, flags=re.MULTILINE)
    return {heading: " ".join(text.split()) for heading, _, text in (part.partition("\n") for part in parts)}


def figures(result: dict[str, Any]) -> Iterator[str]:
    """Numbers as the notes write them."""
    top1, control = result["top1"], result.get("control", [])
    yield from [f"{top1} ± {result['half_width']}"] if "half_width" in result else _several(top1)
    yield from _several(control)
    yield from (name if name.startswith("-") else f"+{name}" for name in result.get("difference", []))


def _several(values: str | list[str]) -> list[str]:
    return [values] if isinstance(values, str) else values


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: f"{study['family']}: {study['task'][:40]}")
def test_methods_headings_and_numbers_exist(study: dict[str, Any]) -> None:
    text = sections()[study["heading"]]
    for result in study["results"]:
        assert result["method"] in FAMILIES[study["family"]]
        for figure in figures(result):
            assert re.search(rf"(?<![\d.]){re.escape(figure)}(?![\d])", text), f"{result['method']}: {figure}"


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: f"{study['family']}: {study['task'][:40]}")
def test_studies_say_what_a_reader_needs(study: dict[str, Any]) -> None:
    assert study["task"]
    assert study["conditions"].endswith(".")
    for figure in re.findall(r"\d+\.\d+", study["conditions"]):
        assert re.search(rf"(?<![\d.]){re.escape(figure)}(?!\d)", sections()[study["heading"]]), figure
    compared = [result for result in study["results"] if "control" in result or "difference" in result]
    assert bool(study.get("against")) == bool(compared)


def test_pages_show_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    pages = importlib.import_module("site_pages.measured")
    measured = pages.measured
    page = measured("criteria", "herding")
    assert "54.18 ± 5.08" in page
    assert "+0.41 (-6.40 to +7.21) |" in page
    assert "-7.95 (-15.33 to -0.57) |" in measured("criteria", "entropy")
    assert "| 8,000 | with mixup | 75.03 ± 0.84 | 74.44 |" in measured("borrow", "margin")
    assert "61.68" in measured("objectives", "kd")
    assert measured("objectives", "simkd") == ""
    assert pages.anchor("The digits demo") == "the-digits-demo"
