"""The README's Python runs, and its commands are ones that limbeck has."""

import re
import shlex
import warnings
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from limbeck.cli.main import app
from limbeck.data.catalogue import DATASETS
from limbeck.transfer.budget import parse_budget
from limbeck.transfer.criteria import find_criterion

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
PYTHON = "".join(re.findall(r"```python\n(.*?)```", README, re.DOTALL))
LINES = [line.strip() for line in re.findall(r"^    (limbeck .*)$", README, re.MULTILINE)]
INLINE = [" ".join(command.split()) for command in re.findall(r"`(limbeck [^`]*)`", README)]
FEWER = {
    "epochs=15": "epochs=1",
    "steps=300": "steps=4",
    "range(20)": "range(2)",
    '"compare.budgets=[50]"': '"compare.budgets=[50]", "compare.seeds=[0]", "training.steps=2"',
}


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def words(line: str) -> list[str]:
    return shlex.split(line, comments=True)[1:]


def verb(arguments: list[str]) -> tuple[Any, str, list[str]]:
    """The command that arguments name, its name, and what is left for it."""
    command: Any = get_command(app)
    name = "limbeck"
    while hasattr(command, "resolve_command") and arguments:
        with command.make_context("limbeck", [*arguments], resilient_parsing=True) as context:
            name, command, arguments = command.resolve_command(context, arguments)
        assert command is not None, f"no verb {name}"
    return command, name, arguments


def parsed(line: str) -> dict[str, Any]:
    """The parameters of a line, as the command line understands them; raises its error for what it does not."""
    command, name, arguments = verb(words(line))
    return {"verb": name, **command.make_context(name, arguments).params}


def listed(value: str | list[str] | None) -> list[str]:
    return [value] if isinstance(value, str) and value else list(value or [])


def test_the_python_runs_with_fewer_steps() -> None:
    code = PYTHON
    for long, short in FEWER.items():
        assert long in code
        code = code.replace(long, short)
    namespace: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), namespace)
    assert Path("runs/mine/report.html").is_file()
    assert namespace["teacher_logits"].shape == (50, 10), "soft labels of the teacher"
    (export,) = [command for command in INLINE if command.startswith("limbeck export")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # as where the student's own test images cannot be found
        result = CliRunner().invoke(app, words(export))
    assert result.exit_code == 0, result.output
    assert "on 360 images of digits/test" in " ".join(result.output.split())
    assert Path("runs/student-onnx/model.int8.onnx").is_file()


@pytest.mark.slow
def test_the_python_does_what_it_says() -> None:
    namespace: dict[str, Any] = {}
    exec(compile(PYTHON, "README.md", "exec"), namespace)
    assert namespace["result"].evaluation.top1 > 0.8
    assert namespace["results"]["table"][0]["mean"] > 0.7


def test_the_lines_are_found() -> None:
    assert len(LINES) >= 15
    assert len(INLINE) >= 5
    assert {"ls", "cp", "validate", "compare", "report", "evaluate", "select", "distill", "probe", "score"} <= {
        words(line)[0] for line in LINES
    }


@pytest.mark.parametrize("line", [*LINES, *(typed for typed in INLINE if len(words(typed)) > 2)])
def test_commands_are_valid(line: str) -> None:
    values = parsed(line)
    for dataset in listed(values.get("data")):
        assert dataset in DATASETS
    for budget in listed(values.get("budget")):
        parse_budget(budget)
    for criterion in (*listed(values.get("criterion")), *listed(values.get("criteria"))):
        find_criterion(criterion)
    if "recipe" in values:
        assert_valid(values["recipe"], values.get("overrides") or [])


def assert_valid(recipe: str, overrides: list[str]) -> None:
    """`limbeck validate` says so; `my.yaml` is what the line before makes."""
    if recipe == "my.yaml":
        assert "limbeck cp digits-demo my.yaml" in " ".join(LINES)
        CliRunner().invoke(app, ["cp", "digits-demo", "my.yaml"])
    changes = [word for override in overrides for word in ("-s", override)]
    result = CliRunner().invoke(app, ["validate", recipe, "--no-open", *changes])
    assert result.exit_code == 0, result.output
    assert "valid: a recipe to" in result.output


@pytest.mark.parametrize("line", [typed for typed in INLINE if len(words(typed)) <= 2])
def test_verbs_that_are_mentioned_exist(line: str) -> None:
    command, name, _ = verb(words(line))
    assert command.name == name
