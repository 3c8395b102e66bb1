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
    """No test reads or fills the caches of whoever runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIMBECK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True, scope="session")
def unsynced() -> Iterator[None]:
    """No test waits for the disk; none cuts the power."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture
def forgetful() -> Iterator[None]:
    """What a test registers is gone after it."""
    from limbeck.plugins import FAMILIES, catalogue_of

    before = {family: dict(catalogue_of(family).registered) for family in FAMILIES}
    yield
    for family, known in before.items():
        catalogue_of(family).registered.clear()
        catalogue_of(family).registered.update(known)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--one-in", type=int, default=1, metavar="N", help="run every N-th test only")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves all but every N-th test out, where a sample is wanted."""
    every = config.getoption("one_in")
    config.hook.pytest_deselected(items=[item for place, item in enumerate(items) if place % every])
    items[:] = items[::every]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Random weights are the same in every run, those of a module's fixtures, too; then what needs a GPU is skipped."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
    _skip_without_gpu(item)


def _skip_without_gpu(item: pytest.Item) -> None:
    """What is marked `gpu`, but for tests of a `device` that LIMBECK_TEST_DEVICE names."""
    if item.get_closest_marker("gpu") is None:  # not `keywords`, among which are the names of folders
        return
    if os.environ.get("LIMBECK_TEST_DEVICE") and "device" in getattr(item, "fixturenames", ()):
        return
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a GPU, and torch finds none (LIMBECK_TEST_DEVICE=cpu tries most of tests/gpu on the CPU)")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where everything that a test needs is there, skipping it is a failure; only a GPU may be missing."""
    report = yield
    if report.skipped and os.environ.get("LIMBECK_NO_SKIP") and item.get_closest_marker("gpu") is None:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and LIMBECK_NO_SKIP is set: {report.longrepr}"
    return report
