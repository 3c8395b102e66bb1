"""What users name as "module:name": where modules are looked for, and what is wrong with what is not there."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from limbeck.errors import UserError
from limbeck.import_paths import import_object, import_path_of, is_import_path, look_in
from limbeck.objectives.kd import KD


def write(folder: Path, **modules: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("my_parts:loss", True),
        ("my_pkg.losses:Brier.make", True),
        ("kd", False),
        ("timm:resnet18", False),
        ("python:loss", False),
        ("cifar10:animals/x", False),
        ("C:\\data", False),
        (":loss", False),
        ("my_parts:", False),
        (3, False),
    ],
)
def test_what_an_import_path_is(name: object, expected: bool) -> None:
    assert is_import_path(name) is expected


def test_a_module_beside_the_recipe_is_found_and_hides_nothing(tmp_path: Path) -> None:
    look_in(write(tmp_path / "a", parts_of_mine="import json\nvalue = 1\n", json="value = 2\n"))
    assert import_object("parts_of_mine:value", "objective") == 1
    assert not hasattr(import_object("parts_of_mine:json", "objective"), "value")


def test_the_last_folder_comes_first_and_brings_its_own_module(tmp_path: Path) -> None:
    look_in(write(tmp_path / "a", parts_of_mine="from helpers_of_mine import value\n", helpers_of_mine="value = 1\n"))
    assert import_object("parts_of_mine:value", "objective") == 1
    look_in(write(tmp_path / "b", parts_of_mine="from helpers_of_mine import value\n", helpers_of_mine="value = 2\n"))
    assert import_object("parts_of_mine:value", "objective") == 2
    look_in(tmp_path / "a", only=True)
    assert import_object("parts_of_mine:value", "objective") == 1
    look_in(tmp_path, only=True)
    with pytest.raises(UserError, match="there is no module 'parts_of_mine'"):
        import_object("parts_of_mine:value", "objective")


def test_packages_and_nested_names(tmp_path: Path) -> None:
    package = tmp_path / "package_of_mine"
    write(package, __init__="", losses="class Brier:\n    power = 2\n")
    look_in(tmp_path)
    assert import_object("package_of_mine.losses:Brier.power", "objective") == 2
    with pytest.raises(UserError, match=r"there is no module 'package_of_mine.loss' in 'package_of_mine'"):
        import_object("package_of_mine.loss:Brier", "objective")
    with pytest.raises(
        UserError, match=r"the class Brier in 'package_of_mine.losses' has no 'pwer'; did you mean 'power"
    ):
        import_object("package_of_mine.losses:Brier.pwer", "objective")


BROKEN = {
    "raising_of_mine": ("x = 1\nraise RuntimeError('no way')\n", r"RuntimeError: no way, .*raising_of_mine.py, line 2"),
    "misspelt_of_mine": ("def f(:\n", r"SyntaxError: .*misspelt_of_mine.py, line 1"),
    "lacking_of_mine": ("import nowhere_to_be_found\n", "No module named 'nowhere_to_be_found', .*, line 1"),
    "leaving_of_mine": ("raise SystemExit(3)\n", "SystemExit: 3"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_module_that_fails_says_why(name: str, tmp_path: Path) -> None:
    text, message = BROKEN[name]
    look_in(write(tmp_path / "a", **{name: text}))
    with pytest.raises(
        UserError, match=f"`objective` '{name}:loss': the module '{name}' fails when it is imported .*{message}"
    ):
        import_object(f"{name}:loss", "objective")


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    look_in(write(tmp_path / "a", parts_of_mine="def brier():\n    pass\n"), only=True)
    for path, message in (
        (
            "part_of_mine:brier",
            r"`objective` 'part_of_mine:brier': there is no module 'part_of_mine' on Python's path nor "
            r"in '.*a'; did you mean 'parts_of_mine'\? Put part_of_mine.py beside the recipe",
        ),
        ("parts_of_mine:brir", "the module 'parts_of_mine' has no 'brir'; did you mean 'brier'"),
        ("parts_of_mine:other", "the module 'parts_of_mine' has no 'other'; it has brier"),
        (
            "parts of mine:brier",
            "`objective` must be a name, or 'module:name' of what is to be imported, got 'parts of",
        ),
    ):
        with pytest.raises(UserError, match=message):
            import_object(path, "objective")
    with pytest.raises(UserError, match="`optimizer` must be a class, got 'math:pi', which is a float"):
        import_object("math:pi", "optimizer", fits=lambda part: isinstance(part, type), allowed="a class")


def test_the_path_of_what_is_handed_over() -> None:
    def local() -> None: ...

    assert import_path_of(KD) == "limbeck.objectives.kd:KD"
    assert import_object("limbeck.objectives.kd:KD", "objective") is KD
    assert import_path_of(local) is None
    assert import_path_of(lambda: 0) is None
    assert import_path_of(3) is None
    module = ModuleType("made_on_the_fly")
    exec("def loss(): pass", vars(module))
    sys.modules["made_on_the_fly"] = module
    try:
        assert import_path_of(vars(module)["loss"]) is None
    finally:
        del sys.modules["made_on_the_fly"]
