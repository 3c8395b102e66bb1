"""The documentation's site, as `make docs` built it, in a real browser: whole on any screen, nothing fetched."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("selenium", reason="needs the extra `browser`")
from selenium import webdriver

SITE = Path(__file__).parent.parent / "docs" / "_build" / "html"
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
PAGES = [
    "",
    "start",
    "select",
    "borrow",
    "condense",
    "generate",
    "objectives",
    "compare",
    "reports",
    "lab-notes",
    "faq",
]
PAGES += [
    "faq",
    "generated/generate/bsr",
    "generated/condense/edf",
    "generated/objectives/kd",
    "generated/criteria/entropy",
]
LOOK = """return {
    broken: [...document.images].filter(one => !one.naturalWidth).map(one => one.src),
    elsewhere: performance.getEntriesByType("resource").map(one => one.name).filter(one => !one.startsWith("file:")),
    wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    titles: document.querySelectorAll("h1").length,
}"""
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver (Debian: chromium-driver)"),
    pytest.mark.skipif(not SITE.exists(), reason="needs the site: make docs"),
]


@pytest.fixture(scope="module")
def driver() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    found.set_page_load_timeout(60)
    try:
        yield found
    finally:
        found.quit()


@pytest.mark.parametrize("width", [1280, 390])
def test_pages_are_whole_and_need_nothing_from_elsewhere(driver: webdriver.Chrome, width: int) -> None:
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    for name in PAGES:
        driver.get((SITE / name / "index.html").as_uri())
        assert driver.execute_script(LOOK) == {"broken": [], "elsewhere": [], "wide": 0, "titles": 1}, name
        assert driver.get_log("browser") == [], name
