"""The catalogue works without torch, and its entries can be listed."""

import subprocess
import sys

import pytest

from limbeck.errors import UserError
from limbeck.models.catalogue import MODELS, TIMM, canonical, entry
from limbeck.models.options import Option, check_options


@pytest.mark.parametrize("module", ["limbeck.models", "limbeck.models.catalogue", "limbeck.models.published"])
def test_no_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_functions_are_exported_after_their_modules_are_imported() -> None:
    code = "import limbeck.models.weights, limbeck.models as m; assert all(callable(getattr(m, n)) for n in m.__all__)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_unknown_export() -> None:
    import limbeck.models

    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        limbeck.models.nothing  # noqa: B018


@pytest.mark.parametrize("name", MODELS)
def test_entries(name: str) -> None:
    assert canonical(name.upper()) == name
    assert entry(name.lower()) is MODELS[name]
    assert entry(name).family
    assert 10 < len(entry(name).summary) < 80


def test_timm_names_pass() -> None:
    assert canonical("TIMM:resnet18.a1_in1k") == "timm:resnet18.a1_in1k"
    assert entry("timm:anything") is TIMM


def test_unknown_name() -> None:
    with pytest.raises(UserError, match=r"unknown model 'vgg9'; did you mean .*`limbeck ls models` lists them all"):
        canonical("vgg9")


@pytest.mark.parametrize(
    ("kind", "good", "bad", "words"),
    [
        ("choice", "a", "c", "one of a, b"),
        ("count", 3, 0.5, "a whole number >= 1"),
        ("share", 0.5, 1, r"a number in \[0, 1\)"),
        ("switch", True, 1, "true or false"),
        ("paths", ["layer1"], "layer1", "a list of module paths"),
        ("mapping", {"a": 1}, [1], "a mapping of names to values"),
    ],
)
def test_options(kind: str, good: object, bad: object, words: str) -> None:
    options = {"one": Option(kind, None, "", ("a", "b")), "two": Option("count", 2, "")}
    assert check_options("m", options, {"one": good}) == {"one": good, "two": 2}
    with pytest.raises(UserError, match=f"option `one` of m must be {words}, got"):
        check_options("m", options, {"one": bad})
