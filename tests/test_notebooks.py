"""The notebooks of examples/ run, with less of everything."""

import json
from pathlib import Path

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


def test_all_are_run() -> None:
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == FEWER.keys()


@pytest.mark.filterwarnings("ignore")  # of teachers that have learned for one epoch, and of so few images
@pytest.mark.parametrize("name", FEWER)
def test_the_code_runs_on_less(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cells = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(one["source"]) for one in cells if one["cell_type"] == "code")
    for long, short in FEWER[name].items():
        assert long in code, long
        code = code.replace(long, short)
    exec(compile(code, f"{name}.ipynb", "exec"), {"__name__": "__main__"})
