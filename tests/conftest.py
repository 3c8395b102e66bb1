"""Rules for all tests."""

import os
import sys
from collections.abc import Generator, Iterator

import hypothesis
import pytest

hypothesis.settings.register_profile("limbeck", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("limbeck")


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or fills the cache of the user who runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIMBECK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True, scope="session")
def unsynced() -> Iterator[None]:
    """No test waits for the disk: none simulates a power cut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture
def forgetful() -> Iterator[None]:
    """Removes after the test what it registered."""
    from limbeck.plugins import FAMILIES, catalogue_of

    before = {family: dict(catalogue_of(family).registered) for family in FAMILIES}
    yield
    for family, parts in before.items():
        catalogue_of(family).registered.clear()
        catalogue_of(family).registered.update(parts)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--one-in", type=int, default=1, metavar="N", help="run every N-th test only")
    parser.addoption("--turn", type=int, default=0, metavar="K", help="of these, from the test numbered K mod N on")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keeps only every N-th test, for a quick sample."""
    every = config.getoption("one_in")
    first = config.getoption("turn") % every
    config.hook.pytest_deselected(items=[item for place, item in enumerate(items) if place % every != first])
    items[:] = items[first::every]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Seeds torch, so that random weights are equal in every run, also in module fixtures; skips what needs a GPU."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
    _skip_without_gpu(item)


def _skip_without_gpu(item: pytest.Item) -> None:
    """Skips tests marked `gpu`, except those with a fixture `device` where LIMBECK_TEST_DEVICE is set."""
    if item.get_closest_marker("gpu") is None:  # not `keywords`, which include the names of folders
        return
    if os.environ.get("LIMBECK_TEST_DEVICE") and "device" in getattr(item, "fixturenames", ()):
        return
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a GPU, and torch finds none (LIMBECK_TEST_DEVICE=cpu tries most of tests/gpu on the CPU)")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With LIMBECK_NO_SKIP set, a skipped test fails, unless it needs a GPU."""
    report = yield
    if report.skipped and os.environ.get("LIMBECK_NO_SKIP") and item.get_closest_marker("gpu") is None:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and LIMBECK_NO_SKIP is set: {report.longrepr}"
    return report
