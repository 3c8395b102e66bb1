"""Every example in a docstring runs, and everything that limbeck exports has one.

An example may use, without saying where from, `lb`, `torch`, `Path`, `images` and `test` (200 and 100 of the digits),
`teacher` and `student` (untrained networks for them), and the paths of `MADE`.
"""

import doctest
import importlib
import inspect
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

import limbeck as lb
from limbeck.cli.main import app
from limbeck.objectives.catalogue import OBJECTIVES

ROOT = Path(lb.__file__).parent
PROMPT = re.compile(r"^\s*>>> ", re.MULTILINE)
OFFERED = ("", ".data", ".evaluation", ".models", ".objectives.functional", ".transfer.select")
MADE_BY_LOADING = {"EncodedStorage"}
"""Classes whose instances nobody makes by hand."""

Known = dict[str, Any]


def modules_with_examples() -> list[str]:
    """Finds them by their text, so that collecting tests imports none of them."""
    files = [file for file in ROOT.rglob("*.py") if PROMPT.search(file.read_text(encoding="utf-8"))]
    names = [".".join(("limbeck", *file.relative_to(ROOT).with_suffix("").parts)) for file in files]
    return sorted(name.removesuffix(".__init__") for name in names)


def network(seed: int) -> lb.Classifier:
    classes = [str(digit) for digit in range(10)]
    options: Known = {"width": 8, "norm": "batch"}
    return lb.create("convnet_d3", num_classes=10, channels=1, input_size=8, seed=seed, classes=classes, **options)


def trained(known: Known, path: str) -> None:
    lb.distill(None, network(0), known["images"], test=known["test"], out=path, steps=2, views="none")


def compared(known: Known, path: str) -> None:
    arm = "compare.arms={entropy: entropy}"
    quick = [arm, "compare.budgets=[50]", "compare.seeds=[0]", "training.steps=2", "latency=false"]
    lb.compare("digits-demo", teacher=known["teacher"], out=path, overrides=quick)


def selected(known: Known, path: str) -> None:
    arguments = ["select", "digits", "--budget", "50", "--criterion", Path(path).name, "--out", path]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output


def scored(known: Known, path: str) -> None:
    lb.score_table(known["images"], path, criteria=["entropy", "variance"])


MADE: dict[str, Callable[[Known, str], None]] = {
    "runs/teacher": trained,
    "runs/quick": compared,
    "runs/entropy": selected,
    "runs/variance": selected,
    "scores.parquet": scored,
}


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Known]:
    """What examples may use; they run in a folder of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("examples"))
        digits, test = lb.load("digits"), lb.load("digits", "test")
        images, test = digits.subset(digits.ids[:200]), test.subset(test.ids[:100])
        yield {"lb": lb, "torch": torch, "Path": Path, "images": images, "test": test}


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples(name: str, known: Known) -> None:
    module = importlib.import_module(name)
    source = inspect.getsource(module)
    known = {**known, "teacher": network(0).eval(), "student": network(1).eval()}
    for path, make in MADE.items():
        if f'out="{path}"' in source:  # the example makes it itself
            shutil.rmtree(path, ignore_errors=True)
        elif f'"{path}"' in source and not Path(path).exists():
            make(known, path)
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.testmod(module, globs={**known, **vars(module)}, optionflags=options)
    assert result.failed == 0
    assert result.attempted == len(PROMPT.findall(source)), "no example is out of sight, and none is skipped"


def offered() -> list[str]:
    """Functions and classes that limbeck's packages export, but for interfaces."""
    names = []
    for package in OFFERED:
        exporting = importlib.import_module(f"limbeck{package}")
        callables = {name: getattr(exporting, name) for name in exporting.__all__ if callable(getattr(exporting, name))}
        names += [f"limbeck{package}.{name}" for name, part in callables.items() if not inspect.isabstract(part)]
    return [name for name in names if name.rpartition(".")[2] not in MADE_BY_LOADING]


@pytest.mark.parametrize("name", offered())
def test_what_is_offered_has_an_example(name: str) -> None:
    package, _, attribute = name.rpartition(".")
    part = getattr(importlib.import_module(package), attribute)
    assert PROMPT.search(part.__doc__ or ""), f"{name} has no example"
    assert part.__module__ in modules_with_examples(), "where it would run"


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_every_objective_has_an_example(name: str) -> None:
    assert f"limbeck.objectives.{name}" in modules_with_examples()
