"""Imports only go down a partial order, in no circle, and listing names does not import torch."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

import limbeck
from limbeck.transfer.catalogue import MAKERS

ROOT = Path(limbeck.__file__).parent
BELOW = {
    "ground": (),
    "data": ("ground",),
    "models": ("data",),
    "objectives": ("models",),
    "evaluation": ("models",),
    "exporting": ("evaluation",),
    "training": ("objectives", "evaluation"),
    "transfer": ("training",),
    "report": ("transfer",),
    "recipes": ("report", "exporting"),
    "api": ("recipes",),
    "cli": ("recipes",),
    "testing": ("transfer",),
}
"""Layer -> those right below it; layers side by side do not import each other, as objectives and evaluation."""

LATE = {
    ("limbeck.models.published", "limbeck.models.weights.read"): "torch",
    ("limbeck.models.zoo", "limbeck.models.timm_models"): "timm",
    ("limbeck.plugins", "limbeck.workers.packing"): "workers, of whom lists know nothing and who know plug-ins",
    ("limbeck.recipes.described_sets", "limbeck.objectives.sums"): "torch",
    ("limbeck.recipes.fields", "limbeck.data.views"): "torch",
    ("limbeck.recipes.fields", "limbeck.objectives.sums"): "torch",
    ("limbeck.recipes.fields", "limbeck.training.schedule"): "torch",
    ("limbeck.recipes.image_sizes", "limbeck.models.timm_models"): "timm",
    ("limbeck.report.figures.frontier", "limbeck.report.vega"): "vl-convert, for SVG alone",
    ("limbeck.report.figures.ranking", "limbeck.report.vega"): "vl-convert, for SVG alone",
    ("limbeck.transfer.scoring.features", "limbeck.transfer.scoring.autoencoder"): "training",
    ("limbeck.transfer.scoring.score", "limbeck.transfer.scoring.forgetting"): "training",
    ("limbeck.workers.ray_cluster", "limbeck.workers.local"): "limbeck, on machines that may lack it",
}
"""What is imported inside functions, but for the command line's verbs, and what does not wait for it."""

TORCH_FREE = [
    "limbeck",
    "limbeck.cli",
    "limbeck.cli.documentation",
    "limbeck.cli.listing",
    "limbeck.data.catalogue",
    "limbeck.data.view_catalogue",
    "limbeck.exporting.settings",
    "limbeck.models.catalogue",
    "limbeck.objectives",
    "limbeck.objectives.catalogue",
    "limbeck.objectives.functional",
    "limbeck.training.optimizer_catalogue",
    "limbeck.training.schedule_catalogue",
    "limbeck.plugins",
    "limbeck.transfer.catalogue",
    "limbeck.transfer.criteria",
    "limbeck.transfer.generate.networks.catalogue",
    "limbeck.recipes.packaged",
    "limbeck.recipes.reading",
]


class Import(NamedTuple):
    """One module of limbeck names another: at its "top", "late" inside a function, or for type checkers ("type")."""

    of: str
    name: str
    when: str

    def __str__(self) -> str:
        return f"{self.of} -> {self.name}"


@cache
def modules() -> dict[str, Path]:
    files = {file: ".".join(("limbeck", *file.relative_to(ROOT).with_suffix("").parts)) for file in ROOT.rglob("*.py")}
    return {name.removesuffix(".__init__"): file for file, name in files.items()}


@cache
def imports() -> tuple[Import, ...]:
    return tuple(
        imported
        for module, file in modules().items()
        for imported in _walk(ast.parse(file.read_text("utf-8")), module, "top")
    )


def _walk(node: ast.AST, of: str, when: str) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(of, alias.name, when) for alias in child.names if alias.name.startswith("limbeck"))
        elif isinstance(child, ast.ImportFrom) and (child.module or "").split(".")[0] == "limbeck":
            for member in child.names:  # a module, or a name in one
                whole = f"{child.module}.{member.name}"
                yield Import(of, whole if whole in modules() else str(child.module), when)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            yield from _walk(child, of, "type")
        else:
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and when == "top"
            yield from _walk(child, of, "late" if inside else when)


def layer(module: str) -> str:
    first = f"{module}.".split(".")[1].replace("__main__", "cli")
    return first if first in BELOW else "ground"


def below(layer: str) -> set[str]:
    """A layer and all that it may import."""
    return {layer}.union(*map(below, BELOW[layer]))


def maker(module: str) -> str | None:
    """The package of the maker that a module belongs to, if to any."""
    packages = [maker_.package for maker_ in MAKERS.built_in.values()]
    return next((package for package in packages if f"{module}.".startswith(f"{package}.")), None)


@pytest.mark.parametrize("name", BELOW)
def test_imports_only_go_down(name: str) -> None:
    own = [
        imported
        for imported in imports()
        if layer(imported.of) == name and not (imported.of == "limbeck" and imported.when == "type")
    ]
    assert own
    assert not [str(imported) for imported in own if layer(imported.name) not in below(name)]


def test_the_order_is_that_of_the_design() -> None:
    for lower, other in (("models", "objectives"), ("objectives", "evaluation"), ("evaluation", "objectives")):
        assert other not in below(lower)
    assert {"objectives", "evaluation", "models", "data"} < below("training") < below("transfer") < below("report")
    assert "recipes" not in below("report")
    assert "api" not in below("cli")


def test_makers_do_not_know_each_other_and_nobody_below_them_does() -> None:
    """What makers share does not know them either, but for the catalogue, which has their names."""
    inside = [imported for imported in imports() if layer(imported.of) == "transfer" and maker(imported.name)]
    wrong = {str(imported) for imported in inside if maker(imported.of) != maker(imported.name)}
    assert not wrong


def test_no_module_imports_in_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    for imported in imports():
        if imported.when == "top" and imported.name != imported.of:
            graph.setdefault(imported.of, set()).add(imported.name)
    assert [*TopologicalSorter(graph).static_order()], "a circle raises a CycleError that names it"


def test_imports_inside_functions_are_few_and_have_a_reason() -> None:
    late = {
        (imported.of, imported.name)
        for imported in imports()
        if imported.when == "late" and layer(imported.of) != "cli"
    }
    assert late <= {*LATE}


def test_listing_does_not_import_torch() -> None:
    code = f"import sys, {', '.join(TORCH_FREE)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
