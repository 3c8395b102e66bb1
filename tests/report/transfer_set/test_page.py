"""The page of a folder that `limbeck select` made."""

import json
from pathlib import Path

import pytest
from tests.report import report_factory as factory
from tests.report.test_pages import EVIL, markup, outline
from tests.report.transfer_set.test_section import section, values

from limbeck.errors import UserError
from limbeck.report import write_selection_report


def test_selection_says_everything(tmp_path: Path) -> None:
    page = write_selection_report(factory.write_chosen(tmp_path / "mine"))
    words = markup(page).replace("\N{NO-BREAK SPACE}", " ")
    for part in (
        "90 of 900 images of cifar10/train (10.0 %), chosen by entropy: score entropy of grayscale-histogram",
        "<h1>mine</h1>",
        "of 900",
        "Left out, highest entropy",
        "seed: 3",
        "read that alone",
    ):
        assert part in words, part
    assert sum(row["to"] - row["from"] for row in values(page, "scores")) == 900
    assert words.count("90 of 900 images") == 1
    assert outline(page).scripts == 1


def test_numbers_stand_in_for_rows(tmp_path: Path) -> None:
    from limbeck.report.transfer_set.section import read_summary

    folder = factory.write_chosen(tmp_path / "mine")
    expected = write_selection_report(folder).read_text()
    found = read_summary(folder / "selection" / "table.parquet", None)
    assert found is not None
    factory.write_json(folder / "selection" / "summary.json", found.to_dict())
    (folder / "selection" / "table.parquet").unlink()
    assert write_selection_report(folder).read_text() == expected
    (folder / "selection" / "summary.json").write_text(json.dumps({"whole": None}))
    with pytest.raises(UserError, match=r"summary\.json cannot be read .*another folder"):
        write_selection_report(folder)


def test_parts_and_options_are_understood(tmp_path: Path) -> None:
    parts = {"score": "entropy", "representation": "grayscale-histogram", "allocation": "k-means", "order": "lowest"}
    parts |= {"space": "grayscale-histogram", "options": {"clusters": 5}, "name": "hg/km/ls", "summary": ""}
    page = write_selection_report(factory.write_chosen(tmp_path / "mine", criterion=parts, groups=5))
    assert "hg/km/ls: score entropy of grayscale-histogram, allocation k-means in grayscale-histogram" in markup(page)
    assert "Images by cluster" in section(page)


def test_folders_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no selection: it has no transfer_set\.json"):
        write_selection_report(tmp_path)
    folder = factory.write_chosen(tmp_path / "mine")
    (folder / "selection" / "table.parquet").unlink()
    with pytest.raises(UserError, match=r"no selection/ that tells what was left out; only `limbeck select`"):
        write_selection_report(folder)


def test_names_are_escaped(tmp_path: Path) -> None:
    page = write_selection_report(
        factory.write_chosen(tmp_path / "mine", name=EVIL, criterion={"score": "entropy", "name": EVIL})
    )
    assert outline(page).scripts == 1
    assert EVIL not in page.read_text("utf-8")
