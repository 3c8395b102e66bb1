"""The Python examples of docs/data.md run."""

import re
from pathlib import Path
from typing import Any

import pytest

import limbeck as lb

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)


def test_the_python_runs_and_the_loop_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    classes = [str(digit) for digit in range(10)]
    namespace: dict[str, Any] = {"a_network": lb.create("lenet5", num_classes=10, channels=1, classes=classes).eval()}
    at_hand, loop, with_a_teacher = (text for kind, text in BLOCKS if kind == "python")
    run(at_hand, namespace)
    assert (len(namespace["few"].ids), namespace["gray"].shape) == (30, (1, 16, 16))
    run(loop, namespace)
    test = lb.load("digits", "test")
    assert float((namespace["network"](test.floats()).argmax(1) == test.labels).float().mean()) > 0.6
    run(with_a_teacher.replace("range(20)", "range(2)").replace('"runs/teacher"', "a_network"), namespace)
    assert namespace["teacher_logits"].shape == (50, 10)


def run(code: str, known: dict[str, Any]) -> None:
    exec(compile(code, "data.md", "exec"), known)
