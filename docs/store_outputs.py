"""Runs the notebooks of examples/ and stores what their cells show: `python docs/store_outputs.py [NAME ...]`.

They take 20 to 40 seconds each on an idle core. A notebook stores a digest of the code that gave its outputs;
a test compares it with the code that the notebook has.
"""

import ast
import contextlib
import hashlib
import io
import json
import pprint
import re
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parents[1] / "examples"

Cell = dict[str, Any]


def code_cells(notebook: dict[str, Any]) -> list[Cell]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def digest(notebook: dict[str, Any]) -> str:
    """A digest of the code of all cells."""
    sources = ["".join(cell["source"]) for cell in code_cells(notebook)]
    return hashlib.sha256(json.dumps(sources).encode()).hexdigest()[:16]


def store_outputs(path: Path) -> None:
    """Runs a notebook in an empty folder and writes it back with its outputs."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    namespace: dict[str, Any] = {"__name__": "__main__"}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for count, cell in enumerate(code_cells(notebook), start=1):
            cell["outputs"] = _run("".join(cell["source"]), namespace, count, folder)
            cell["execution_count"] = count
    notebook["metadata"]["limbeck"] = {"outputs_of": digest(notebook)}
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _run(code: str, known: dict[str, Any], count: int, folder: str) -> list[dict[str, Any]]:
    """What a cell prints, and the value of its last line, as Jupyter stores them; without the folder's path."""
    *body, last = ast.parse(code).body
    value = None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if isinstance(last, ast.Expr):
            exec(compile(ast.Module(body, []), f"cell {count}", "exec"), known)
            value = eval(compile(ast.Expression(last.value), f"cell {count}", "eval"), known)
        else:
            exec(compile(code, f"cell {count}", "exec"), known)
    outputs: list[dict[str, Any]] = []
    if text := _plain(printed.getvalue(), folder):
        outputs.append({"name": "stdout", "output_type": "stream", "text": text})
    if value is not None:
        data = {"text/plain": _plain(pprint.pformat(value, sort_dicts=False), folder)}
        outputs.append({"data": data, "execution_count": count, "metadata": {}, "output_type": "execute_result"})
    return outputs


def _plain(text: str, folder: str) -> list[str]:
    """Lines without what differs from run to run: the folder's path, and addresses of objects in memory."""
    return re.sub(r" at 0x[0-9a-f]+", "", text.replace(folder, ".")).splitlines(keepends=True)


def main(names: Sequence[str]) -> None:
    for path in sorted(EXAMPLES.glob("*.ipynb")):
        if not names or path.stem in names:
            store_outputs(path)
            print(f"stored the outputs of {path.name}")


if __name__ == "__main__":
    main(sys.argv[1:])
