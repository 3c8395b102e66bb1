"""The pages that are made from tables say what the tables say."""

from pathlib import Path

import pytest

from limbeck.cli.documentation import PAGES, main

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", PAGES)
def test_page_is_fresh(name: str) -> None:
    advice = "run `python -m limbeck.cli.documentation docs`"
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), advice


def test_pages_are_written(tmp_path: Path) -> None:
    main(str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == set(PAGES)
