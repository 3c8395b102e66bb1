"""The notebooks of examples/ run, with smaller settings."""

import importlib
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

NOTEBOOKS = Path(__file__).parents[1] / "examples"
FEWER = {
    "photos_to_onnx": {"epochs=15": "epochs=1", "steps=600": "steps=4"},
    "own_loss_and_score": {'"epochs": 15': '"epochs": 1', '"steps": 200': '"steps": 2', "[0, 1, 2]": "[0, 1]"},
    "without_data": {
        "epochs=20": "epochs=1",
        "20000": "300",
        "budget=2000": "budget=100",
        "budget=2560": "budget=256",
        "steps=1500": "steps=2",
    },
}


@pytest.fixture
def storing(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(NOTEBOOKS.parent / "docs"))
    return importlib.import_module("store_outputs")


def test_all_are_run() -> None:
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == FEWER.keys()


@pytest.mark.usefixtures("forgetful")
@pytest.mark.filterwarnings("ignore")  # of teachers that have learned for one epoch, and of so few images
@pytest.mark.parametrize("name", FEWER)
def test_the_code_runs_on_less(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cells = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    for long, short in FEWER[name].items():
        assert long in code, long
        code = code.replace(long, short)
    exec(compile(code, f"{name}.ipynb", "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("name", FEWER)
def test_stored_outputs_are_of_this_code(name: str, storing: ModuleType) -> None:
    """`python docs/store_outputs.py` writes them again."""
    notebook = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))
    outputs = [cell["outputs"] for cell in storing.code_cells(notebook)]
    assert any(outputs)
    assert notebook["metadata"]["limbeck"] == {"outputs_of": storing.digest(notebook)}
    shown = json.dumps(outputs)
    assert not re.search(r"/tmp/|/home/|/Users/|0x[0-9a-f]{6}|\b20\d\d-\d\d-\d\d\b", shown)  # paths, addresses, dates


def test_outputs_are_what_cells_print_and_their_last_value(tmp_path: Path, storing: ModuleType) -> None:
    code = ["from pathlib import Path\n", "print(Path.cwd(), object())\n", "{'top1': 0.5}"]
    cell = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": code}
    path = tmp_path / "one.ipynb"
    path.write_text(json.dumps({"cells": [cell], "metadata": {}}), encoding="utf-8")
    storing.store_outputs(path)
    stored = json.loads(path.read_text(encoding="utf-8"))["cells"][0]
    assert [output.get("text") or output["data"]["text/plain"] for output in stored["outputs"]] == [
        [". <object object>\n"],
        ["{'top1': 0.5}"],
    ]
    assert stored["source"] == code
