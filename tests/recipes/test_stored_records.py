"""docs/store_records.py keeps enough of a comparison to show it again and to go on with it."""

import importlib
import json
import shutil
import tarfile
from pathlib import Path
from types import ModuleType

import pytest
from tests.recipes.tiny_recipes import comparison

from limbeck.recipes.compare import compare
from limbeck.recipes.reading import parse_recipe, read_recipe
from limbeck.recipes.results import collect
from limbeck.recipes.yaml_files import load_mapping

DOCS = Path(__file__).parents[2] / "docs"
STUDIES = sorted(path.parent for path in (DOCS / "results").glob("*/records.tar.xz"))


@pytest.fixture
def storing(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(DOCS))
    return importlib.import_module("store_records")


def unpacked(study: Path, folder: Path) -> Path:
    with tarfile.open(study / "records.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder / study.name


def found(results: dict) -> dict:
    return {key: results[key] for key in ("runs", "table", "differences")}


def test_records_serve_as_the_comparison(finished: Path, storing: ModuleType, tmp_path: Path) -> None:
    study = storing.store_records(finished, "tiny", tmp_path / "results")
    again = unpacked(study, tmp_path / "again")
    recipe = parse_recipe(load_mapping(again / "recipe.yaml"))
    whole = json.loads((finished / "results.json").read_text())
    assert found(collect(again, recipe)) == found(whole)
    assert found(json.loads((study / "results.json").read_text())) == found(whole)
    assert not list(again.rglob("*.safetensors"))


def test_a_comparison_goes_on_from_its_records(finished: Path, storing: ModuleType, tmp_path: Path) -> None:
    half = tmp_path / "tiny"
    shutil.copytree(finished, half)
    shutil.rmtree(half / "runs" / "entropy@12-images" / "seed-0")
    again = unpacked(storing.store_records(half, results=tmp_path / "results"), tmp_path / "again")
    kept = {path: path.stat().st_mtime_ns for path in again.rglob("cost.json")}
    results = compare(read_recipe(comparison(seeds=[0])), again, resume=True)
    assert all(row["state"] == "finished" for row in results["runs"])
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert len(list(again.rglob("cost.json"))) > len(kept)


def test_runs_that_have_begun_and_not_finished_are_kept_as_missing(
    finished: Path, storing: ModuleType, tmp_path: Path
) -> None:
    half = tmp_path / "tiny"
    shutil.copytree(finished, half)
    status = half / "runs" / "entropy@12-images" / "seed-0" / "status.json"
    status.write_text(json.dumps({"state": "interrupted", "error": None}))
    (status.parent / "cost.json").unlink()
    study = storing.store_records(half, results=tmp_path / "results")
    again = unpacked(study, tmp_path / "again")
    results = json.loads((study / "results.json").read_text())
    assert found(collect(again, parse_recipe(load_mapping(again / "recipe.yaml")))) == found(results)
    assert "missing" in {row["state"] for row in results["runs"]}


@pytest.mark.parametrize("study", STUDIES, ids=lambda path: path.name)
def test_what_is_kept_says_the_same_as_its_records(study: Path, tmp_path: Path) -> None:
    again = unpacked(study, tmp_path)
    recipe = parse_recipe(load_mapping(again / "recipe.yaml"))
    assert found(collect(again, recipe)) == found(json.loads((study / "results.json").read_text()))


def test_nobody_is_named(finished: Path, storing: ModuleType, tmp_path: Path) -> None:
    study = storing.store_records(finished, "tiny", tmp_path)
    with tarfile.open(study / "records.tar.xz") as archive:
        assert {(entry.uid, entry.uname) for entry in archive} == {(0, "")}
