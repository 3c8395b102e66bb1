"""What lies beside the package and is read by others: the citation, and the container's file."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

CITATION = Path(__file__).parents[1] / "CITATION.cff"
CHANGELOG = Path(__file__).parents[1] / "CHANGELOG.md"
CONTAINER = Path(__file__).parents[1] / "Containerfile"
PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def citation() -> dict[str, Any]:
    return yaml.safe_load(CITATION.read_text("utf-8"))


def project() -> dict[str, Any]:
    return tomllib.loads(PROJECT.read_text("utf-8"))["project"]


def instructions() -> list[tuple[str, str]]:
    """(name, what follows) of every instruction, with continued lines joined."""
    lines = CONTAINER.read_text("utf-8").replace("\\\n", " ").splitlines()
    pairs = [line.partition(" ") for line in lines if line and not line.startswith("#")]
    return [(name, rest) for name, _, rest in pairs]


def test_the_citation_says_what_the_format_asks_for() -> None:
    content = citation()
    assert content.keys() >= {"cff-version", "message", "title", "authors"}
    assert all({"name", "family-names"} & author.keys() for author in content["authors"])
    assert content["license"] == project()["license"]


def test_the_citation_is_of_the_topmost_release() -> None:
    release = re.search(r"^## (\S+), (\S+)$", CHANGELOG.read_text("utf-8"), re.MULTILINE)
    assert release is not None
    assert citation()["version"] == release[1]
    dated = release[2] != "unreleased"
    assert str(citation().get("date-released")) == (release[2] if dated else "None")


def test_the_container_copies_what_is_there() -> None:
    copied = [rest.split()[:-1] for name, rest in instructions() if name == "COPY"]
    local = [path for paths in copied for path in paths if not paths[0].startswith("--from")]
    assert local
    assert all((CONTAINER.parent / path).exists() for path in local)
    (entry,) = (rest for name, rest in instructions() if name == "ENTRYPOINT")
    assert entry.strip('["]') in project()["scripts"]
    extras = {extra for _, rest in instructions() for extra in re.findall(r"\.whl\)\[(\w+)\]", rest)}
    assert extras
    assert extras <= project()["optional-dependencies"].keys()


@pytest.mark.parametrize("image", sorted({rest.split()[0] for name, rest in instructions() if name == "FROM"}))
def test_the_container_has_a_python_that_is_supported(image: str) -> None:
    version = re.search(r"python:(\d+\.\d+)", image)
    assert version is not None
    assert f"Programming Language :: Python :: {version[1]}" in project()["classifiers"]
