"""What limbeck requires is what it imports."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import limbeck

ROOT = Path(limbeck.__file__).parent
PROJECT = Path(__file__).parents[1] / "pyproject.toml"
IMPORTED_AS = {
    "nvidia-ml-py": "pynvml",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "scikit-learn": "sklearn",
    "vl-convert-python": "vl_convert",
}
BROUGHT = {
    "fsspec",  # by datasets, whose addresses it opens
    "huggingface_hub",  # by datasets, from whose hub models come, too
    "markupsafe",  # by jinja2, whose text it is
    "threadpoolctl",  # by scikit-learn, whose threads it counts
}


def requirements(*extras: str) -> set[str]:
    project = tomllib.loads(PROJECT.read_text("utf-8"))["project"]
    lines = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    names = (re.split(r"[^\w.-]", line)[0] for line in lines)
    return {IMPORTED_AS.get(name, name) for name in names}


def imported() -> set[str]:
    packages = set()
    for file in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            packages |= {name.partition(".")[0] for name in names}
    return packages - {*sys.stdlib_module_names, "limbeck", "__future__"}


def test_every_requirement_is_imported_and_every_import_required() -> None:
    assert requirements() <= imported()
    assert imported() <= requirements("cams", "energy", "export", "maps", "scale") | BROUGHT


def test_the_source_distribution_has_all_that_its_tests_read() -> None:
    build = tomllib.loads(PROJECT.read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    folders = {"pyproject.toml"}  # which is always there
    for file in Path(__file__).parent.rglob("*.py"):
        for levels, name in re.findall(r'Path\(__file__\)\.parents\[(\d)\] / "([^"]+)"', file.read_text("utf-8")):
            folders |= {name} if file.parents[int(levels)] == PROJECT.parent else set()
    assert {"docs", "examples"} < folders
    assert folders - {"pyproject.toml"} <= {*build}
    assert all((PROJECT.parent / folder).exists() for folder in build)
