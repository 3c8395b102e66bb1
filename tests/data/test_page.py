"""What docs/data.md shows in Python runs."""

import re
from pathlib import Path
from typing import Any

import pytest

import limbeck as lb

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
FEWER = {"range(20)": "range(2)", '"runs/teacher"': "a_network"}


def test_the_python_runs_with_fewer_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    classes = [str(digit) for digit in range(10)]
    known: dict[str, Any] = {"a_network": lb.create("lenet5", num_classes=10, channels=1, classes=classes).eval()}
    codes = [text for kind, text in BLOCKS if kind == "python"]
    assert len(codes) == 3
    for code in codes:
        for long, short in FEWER.items():
            code = code.replace(long, short)
        exec(compile(code, "data.md", "exec"), known)
    assert (len(known["few"].ids), known["gray"].shape) == (30, (1, 16, 16))
    assert known["teacher_logits"].shape == (50, 10)


def test_the_loop_learns() -> None:
    known: dict[str, Any] = {}
    code = next(text for kind, text in BLOCKS if kind == "python" and "dataloader" in text)
    exec(compile(code, "data.md", "exec"), known)
    test = lb.load("digits", "test")
    right = known["network"](test.floats()).argmax(1) == test.labels
    assert float(right.float().mean()) > 0.6
