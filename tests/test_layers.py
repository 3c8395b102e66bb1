"""Imports only go down, and listing names does not import torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import limbeck

ROOT = Path(limbeck.__file__).parent
LAYERS = ["data", "models", "objectives", "evaluation", "training", "transfer", "report", "recipes", "api", "cli"]
TORCH_FREE = [
    "limbeck",
    "limbeck.cli",
    "limbeck.cli.documentation",
    "limbeck.cli.listing",
    "limbeck.data.catalogue",
    "limbeck.data.view_catalogue",
    "limbeck.models.catalogue",
    "limbeck.objectives.catalogue",
    "limbeck.transfer.criteria",
    "limbeck.recipes.packaged",
    "limbeck.recipes.reading",
]


def imported(file: Path) -> set[str]:
    """Layers of limbeck that a file imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [one.name for one in node.names] if isinstance(node, ast.Import) else []
        found |= {name.split(".")[1] for name in names if name.startswith("limbeck.")}
    return found & set(LAYERS)


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_only_go_down(layer: str) -> None:
    files = [ROOT / f"{layer}.py"] if layer == "api" else sorted((ROOT / layer).rglob("*.py"))
    assert files
    allowed = set(LAYERS[: LAYERS.index(layer) + 1])
    wrong = {str(file.relative_to(ROOT)): imported(file) - allowed for file in files}
    assert not {file: upward for file, upward in wrong.items() if upward}


def test_listing_does_not_import_torch() -> None:
    code = f"import sys, {', '.join(TORCH_FREE)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
