import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.plugins.packages import importable, of_project, unpack, wheel

from limbeck.import_paths import look_in

PAGE = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The examples of the page in a language."""
    return [part.split("```")[0] for part in PAGE.split(f"```{language}\n")[1:]]


def parts_of_page() -> list[str]:
    """What the page puts into my_parts.py, section by section."""
    return re.findall(r"`my_parts\.py`:\n\n```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(autouse=True)
def _forgetful(forgetful: None) -> Iterator[None]:
    """What a test registers, and the folders that it looks in, are gone after it."""
    path = [*sys.path]
    yield
    look_in(Path.cwd(), only=True)
    sys.path[:] = path


@pytest.fixture(scope="session")
def frugal_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of the page."""
    name, entry_points = of_project(blocks("toml")[0])
    module = next(block for block in blocks("python") if "plain = " in block)
    return wheel(tmp_path_factory.mktemp("wheels"), name, {"frugal_parts.py": module}, entry_points)


@pytest.fixture
def frugal(frugal_wheel: Path, tmp_path: Path) -> Iterator[Path]:
    """The package of the page, installed."""
    unpack(frugal_wheel, tmp_path / "site")
    with importable(tmp_path / "site"):
        yield tmp_path / "site"
