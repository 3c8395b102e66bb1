"""The documentation's site, as `make docs` built it, in a real browser: whole on any screen, nothing fetched."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.chromium import IN_A_BROWSER, Chrome, browser, visit, width

SITE = Path(__file__).parent.parent / "docs" / "_build" / "html"
PAGES = ["", "start", "select", "borrow", "condense", "generate", "objectives", "compare", "reports", "lab-notes"]
PAGES += ["faq", "generated/generate/bsr", "generated/condense/edf", "generated/objectives/kd"]
PAGES += ["generated/criteria/entropy"]
LOOK = """return {
    broken: [...document.images].filter(one => !one.naturalWidth).map(one => one.src),
    elsewhere: performance.getEntriesByType("resource").map(one => one.name).filter(one => !one.startsWith("file:")),
    wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    titles: document.querySelectorAll("h1").length,
}"""
pytestmark = [*IN_A_BROWSER, pytest.mark.skipif(not SITE.exists(), reason="needs the site: make docs")]


@pytest.fixture(scope="module")
def driver() -> Iterator[Chrome]:
    yield from browser()


@pytest.mark.parametrize("pixels", [1280, 390])
def test_pages_are_whole_and_need_nothing_from_elsewhere(driver: Chrome, pixels: int) -> None:
    with width(driver, pixels):
        for name in PAGES:
            visit(driver, SITE / name / "index.html")
            assert driver.execute_script(LOOK) == {"broken": [], "elsewhere": [], "wide": 0, "titles": 1}, name
            assert driver.get_log("browser") == [], name
