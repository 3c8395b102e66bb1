"""The pages in a real browser: quiet console, live charts, and everything to see with scripts off."""

import base64
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.chromium import IN_A_BROWSER, PATIENCE, Chrome, browser, visit, width
from tests.report import report_factory as factory
from tests.report.test_enough import with_answer
from tests.report.transfer_set.test_own_figures import bars, curve, lines, matrix, points, table

from limbeck.report import write_comparison_report, write_merged_report, write_run_report, write_selection_report

pytest.importorskip("selenium", reason="needs the extra `browser`")
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.support.ui import WebDriverWait

FIGURES = [table(), bars(10, 9), bars(200, 3), lines(10), matrix(4), matrix(25), points(), points(40, 1000)]
FIGURES += [curve("Obtained", [0.1, 0.5], share=True), curve("Alone", [1.0])]
pytestmark = IN_A_BROWSER


@pytest.fixture(scope="module")
def live() -> Iterator[Chrome]:
    yield from browser()


@pytest.fixture(scope="module")
def still() -> Iterator[Chrome]:
    yield from browser(scripts=False)


@pytest.fixture(scope="module", params=["comparison", "run", "selection", "several"])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "run":
        factory.write_inside(factory.write_run(folder))
        factory.evidence(groups=20).save(folder / "evidence")
        return write_run_report(folder)
    if request.param == "selection":
        return write_selection_report(factory.write_transfer_set(folder, groups=20, words={"figures": FIGURES}))
    factory.write_selections(factory.write_comparison(folder))
    factory.write_json(folder / "results.json", with_answer(factory.results()))
    if request.param == "several":
        (folder / "again").mkdir()
        shutil.copy(folder / "recipe.yaml", folder / "again")
        both = [(path, factory.results()) for path in (folder, folder / "again")]
        return write_merged_report(both, folder / "merged")
    return write_comparison_report(folder)


def count(driver: Chrome, selector: str) -> int:
    return len(driver.find_elements("css selector", selector))


def test_charts_come_alive_and_the_console_is_quiet(live: Chrome, page: Path, tmp_path: Path) -> None:
    visit(live, page)
    charts = count(live, "[data-chart]")
    assert charts > 3
    WebDriverWait(live, PATIENCE).until(lambda driver: count(driver, "[data-chart].ready svg.marks") == charts)
    assert count(live, "[data-chart] > svg") == 0
    assert [entry for entry in live.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    assert live.save_screenshot(str(tmp_path / "page.png"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_sticks_out_of_a_narrow_window(live: Chrome, page: Path, scheme: str) -> None:
    with width(live, 360, scheme=scheme):
        visit(live, page)
        assert live.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]["width"] <= 360
        for table in live.find_elements("css selector", ".scroll"):  # within themselves, which a shadow shows
            assert table.value_of_css_property("overflow-x") == "auto"
            assert "gradient" in table.value_of_css_property("background-image")


CUT = """
return [...document.querySelectorAll("main table, main svg, main canvas, main pre, main img, main p")]
  .filter(one => one.getClientRects().length && one.getBoundingClientRect().right > innerWidth + 1)
  .map(one => one.outerHTML.slice(0, 200))
"""


FOLDED = "return [...document.querySelectorAll('details table')].filter(one => !one.checkVisibility()).length"


def test_nothing_is_cut_on_paper(live: Chrome, still: Chrome, page: Path) -> None:
    for driver in (live, still):
        with width(driver, 688, media="print", scheme="dark"):  # A4 without its margins
            visit(driver, page)
            if driver is live:
                charts = count(driver, "[data-chart]")
                WebDriverWait(driver, PATIENCE).until(lambda current: count(current, "[data-chart].ready") == charts)  # noqa: B023
            assert driver.execute_script(CUT) == []
            body = driver.find_element("css selector", "body")
            assert "(255, 255, 255" in body.value_of_css_property("background-color")
            assert not any(element.is_displayed() for element in driver.find_elements("css selector", ".toc"))
            assert driver.execute_script(FOLDED) == 0
    printed = base64.b64decode(live.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})["data"])
    assert re.search(rb"/MediaBox \[0 0 594\.9\d* 841\.9\d*\]", printed)


def test_still_charts_show_without_scripts(still: Chrome, page: Path, tmp_path: Path) -> None:
    still.get(page.as_uri())
    # A busy browser may say that it has the page while it still reads it.
    WebDriverWait(still, PATIENCE).until(
        lambda driver: count(driver, "[data-chart] > svg") == count(driver, "[data-chart]") > 3
    )
    pictures = still.find_elements("css selector", "[data-chart] > svg")
    assert all(picture.is_displayed() and picture.size["height"] > 100 for picture in pictures)
    assert count(still, ".vega-embed") == 0
    assert still.save_screenshot(str(tmp_path / "still.png"))


def told(driver: Chrome) -> str:
    """The tooltip in view."""
    WebDriverWait(driver, PATIENCE).until(lambda current: count(current, "#vg-tooltip-element.visible"))
    return driver.find_element("css selector", "#vg-tooltip-element").text


def test_pointing_at_an_image_marks_it_in_both_maps(live: Chrome, tmp_path: Path) -> None:
    visit(live, write_run_report(factory.write_inside(factory.write_run(tmp_path / "run"))))
    WebDriverWait(live, PATIENCE).until(lambda driver: count(driver, "[data-chart=embedding].ready") == 1)
    points = live.find_elements("css selector", "[data-chart=embedding] path[aria-roledescription='point']")
    assert len(points) == 240
    ActionChains(live).scroll_to_element(points[-1]).move_to_element(points[3]).perform()
    assert "teacher says" in told(live)
    large = [place for place, point in enumerate(points) if point.size["width"] > 12]
    assert len(large) == 2
    assert large[1] == large[0] + 120
    live.find_elements("css selector", "[data-chart=embedding] .role-legend-symbol path")[2].click()
    faded = [place for place, point in enumerate(points) if point.get_attribute("opacity") == "0.05"]
    assert faded == [place for place in range(240) if place % 10 != 2]
    assert [entry for entry in live.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []


def test_many_classes_are_cells_on_a_canvas(live: Chrome, still: Chrome, tmp_path: Path) -> None:
    classes = tuple(f"class {place}" for place in range(200))
    page = write_run_report(factory.write_inside(factory.write_run(tmp_path / "run"), classes=classes, images=400))
    visit(live, page)
    WebDriverWait(live, PATIENCE).until(lambda driver: count(driver, "[data-chart=correlation].ready canvas") == 1)
    canvas = live.find_element("css selector", "[data-chart=correlation] canvas")
    ActionChains(live).scroll_to_element(canvas).move_to_element_with_offset(canvas, -200, 20).perform()
    assert all(word in told(live) for word in ("class ", "teacher", "student", "difference"))
    assert count(live, "[data-chart=embedding] select option") == 201
    assert [entry for entry in live.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    still.get(page.as_uri())
    picture = still.find_element("css selector", "[data-chart=correlation] > svg")
    assert picture.is_displayed()
    assert len(picture.find_elements("css selector", "image")) == 2
