"""What `limbeck.objectives` exports is made from the catalogue, for Python, for prompts and for type checkers."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

from limbeck import objectives
from limbeck.objectives import catalogue, functional, stubs
from limbeck.objectives.catalogue import OBJECTIVES

ROOT = Path(objectives.__file__).parent


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_a_line_of_the_catalogue_exports_class_and_functions(name: str) -> None:
    module, entry = importlib.import_module(f"limbeck.objectives.{name}"), OBJECTIVES[name]
    assert getattr(objectives, entry.class_name) is getattr(module, entry.class_name) is catalogue.objective_class(name)
    for function in entry.functions or (name,):
        assert inspect.isfunction(getattr(functional, function))
        assert getattr(functional, function) is getattr(module, function)


@pytest.mark.parametrize("package", [objectives, functional])
def test_prompts_and_stars_find_what_is_exported(package: object) -> None:
    assert {*package.__all__} <= {*dir(package)}
    exec(f"from {package.__name__} import *", namespace := {})
    assert {*package.__all__} <= {*namespace}
    assert {"functional", "catalogue"} <= {*dir(objectives)}


def test_unknown_names_are_attribute_errors() -> None:
    for package in (objectives, functional):
        with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'KDD'"):
            _ = package.KDD


@pytest.mark.parametrize("name", sorted(stubs.STUBS))
def test_stub_is_fresh(name: str) -> None:
    mend = "run `python -m limbeck.cli.documentation docs`"
    assert (ROOT / name).read_text(encoding="utf-8") == stubs.stub(stubs.STUBS[name]), mend


def test_an_objective_is_named_in_one_place() -> None:
    """Outside its module, the catalogue and what is made from it, no source imports an objective's class."""
    generated = {"catalogue.py", *stubs.STUBS}
    classes = {entry.class_name: name for name, entry in OBJECTIVES.items()}
    imports = re.compile(r"^\s*from limbeck\.objectives(?:\.(\w+))? import (.+)$", re.MULTILINE)
    for file in ROOT.parent.rglob("*.py"):
        for module, names in imports.findall(file.read_text(encoding="utf-8")):
            named = {*re.findall(r"\w+", names)} & {*classes}
            assert file.parent == ROOT and file.name in generated if named else True, (file, module)
