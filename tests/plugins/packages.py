"""Packages outside the repository: a wheel from a few lines of code, really installed."""

import subprocess
import sys
import textwrap
import tomllib
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from limbeck.entry_points import offers


def wheel(folder: Path, name: str, files: Mapping[str, str], entry_points: Mapping[str, Mapping[str, str]]) -> Path:
    """What a build would make of a package: its modules, and what it offers (group -> name -> "module:object")."""
    module = name.replace("-", "_")
    groups = [
        f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in names.items())
        for group, names in entry_points.items()
    ]
    info = {
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "entry_points.txt": "\n".join(groups),
    }
    content = dict(files) | {f"{module}-0.1.dist-info/{key}": text for key, text in info.items()}
    record = f"{module}-0.1.dist-info/RECORD"
    content[record] = "".join(f"{key},,\n" for key in (*content, record))
    path = folder / f"{module}-0.1-py3-none-any.whl"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as file:
        for key, text in content.items():
            file.writestr(key, textwrap.dedent(text))
    return path


def install(path: Path, where: Path) -> None:
    """Installs by pip, without any network."""
    quiet = ["--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", "--no-warn-conflicts"]
    command = [sys.executable, "-m", "pip", "install", *quiet, "--target", str(where), str(path)]
    subprocess.run(command, check=True, capture_output=True, text=True)


def unpack(path: Path, where: Path) -> None:
    """Does what pip does, and saves a second of waiting."""
    with zipfile.ZipFile(path) as file:
        file.extractall(where)


@contextmanager
def importable(*folders: Path) -> Iterator[None]:
    """Within the context, packages in these folders are installed."""
    with pytest.MonkeyPatch.context() as patch:
        for folder in folders:
            patch.syspath_prepend(str(folder))
        offers.cache_clear()
        before = set(sys.modules)
        try:
            yield
        finally:
            for name in set(sys.modules) - before:
                file = getattr(sys.modules[name], "__file__", None) or ""
                if any(Path(file).is_relative_to(folder) for folder in folders):
                    del sys.modules[name]
            offers.cache_clear()


def of_project(text: str) -> tuple[str, Mapping[str, Mapping[str, str]]]:
    """Name and entry points of a pyproject.toml."""
    project = tomllib.loads(text)["project"]
    return project["name"], project["entry-points"]
