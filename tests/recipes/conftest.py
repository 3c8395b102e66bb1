"""A finished comparison, made once."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.recipes.tiny_recipes import comparison

from limbeck.recipes.compare import compare
from limbeck.recipes.reading import read_recipe


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One seed of it; to be read only."""
    folder = tmp_path_factory.mktemp("comparison") / "tiny"
    compare(read_recipe(comparison(seeds=[0])), folder)
    return folder


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Callable[[], Path]:
    """A copy to write in."""
    return lambda: Path(shutil.copytree(finished, tmp_path / "copied"))
