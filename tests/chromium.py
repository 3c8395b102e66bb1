"""A real browser without a window, for tests of pages."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("selenium", reason="needs the extra `browser`")
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

Chrome = webdriver.Chrome

_CHROMIUM, _DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
IN_A_BROWSER = [
    pytest.mark.browser,
    pytest.mark.skipif(not (_CHROMIUM and _DRIVER), reason="needs chromium and chromedriver (Debian: chromium-driver)"),
]
"""Marks of such tests."""
PATIENCE = 180
"""Seconds that a page may take until its charts are live: on two busy cores charts took more than 30."""


def browser(*, scripts: bool = True) -> Iterator[Chrome]:
    """Yields a browser, which quits when the generator is closed."""
    options = webdriver.ChromeOptions()
    options.binary_location = _CHROMIUM or ""
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1280,1600",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    if not scripts:
        options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
    driver = Chrome(options=options, service=webdriver.ChromeService(_DRIVER))
    driver.set_page_load_timeout(PATIENCE)
    try:
        yield driver
    finally:
        driver.quit()


def visit(driver: Chrome, page: Path) -> None:
    """Waits until the whole page is loaded: on a busy machine the driver may return while the page is still empty."""
    driver.get(page.as_uri())
    whole = "return document.readyState === 'complete' && location.href === arguments[0]"
    WebDriverWait(driver, PATIENCE).until(lambda current: current.execute_script(whole, page.as_uri()))


@contextmanager
def width(driver: Chrome, pixels: int, *, media: str = "screen", scheme: str = "light") -> Iterator[None]:
    """Within the context, pages are `pixels` wide, as on a telephone or on paper."""
    metrics = {"width": pixels, "height": 844, "deviceScaleFactor": 1, "mobile": False}
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
    try:
        yield
    finally:
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
