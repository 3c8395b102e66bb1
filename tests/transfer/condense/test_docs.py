"""The Python of docs/condense.md runs, and its recipes and commands are valid."""

import re
from pathlib import Path

import pytest
import yaml
from tests.test_readme import parsed

from limbeck.recipes.packaged import packaged_recipes
from limbeck.recipes.reading import read_recipe
from limbeck.transfer.condense.methods import METHODS

PAGE = (Path(__file__).parents[3] / "docs" / "condense.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
LINES = [line.strip() for line in re.findall(r"^    (limbeck .*)$", PAGE, re.MULTILINE)]
FEWER = {
    '"width": 16': '"width": 4',
    '"count": 4, "epochs": 20, "steps_per_snapshot": 15': '"count": 1, "epochs": 3, "steps_per_snapshot": 1',
    '"start_to": 3': '"start_to": 1',
    '"synthetic_steps": 10': '"synthetic_steps": 2',
    "iterations=150": "iterations=2",
    '{"epochs": 200, ': '{"epochs": 2, ',
    '"epochs": 50': '"epochs": 2',
    '"steps": 50': '"steps": 1',
    'full={"epochs": 10}, seeds=2': "full=0.9, seeds=1, rates=[0.05]",
    "seeds=3": "seeds=1",
    "seeds=2": "seeds=1",
}


def blocks(language: str) -> list[str]:
    return [text for kind, text in BLOCKS if kind == language]


def test_no_block_is_left_out() -> None:
    assert {kind for kind, _ in BLOCKS} == {"python", "yaml", "text"}  # text: what a command printed
    assert len(LINES) == 8


@pytest.mark.filterwarnings("ignore:no judge is right")  # experts of so few epochs are not
def test_the_python_runs_on_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = "".join(blocks("python"))
    for long, short in FEWER.items():
        assert long in code, long
        code = code.replace(long, short)
    exec(compile(code, "condense.md", "exec"), {})
    assert list(Path("runs").glob("condensed/report.html"))


@pytest.mark.parametrize("text", blocks("yaml"))
def test_recipes_are_valid(text: str) -> None:
    recipe = read_recipe(yaml.safe_load(text))
    assert recipe.compare is not None
    assert all(arm.transfer for arm in recipe.compare.arms.values())


@pytest.mark.parametrize("line", LINES)
def test_commands_are_valid(line: str) -> None:
    arguments = parsed(line)
    if arguments["verb"] in ("run", "compare"):
        assert arguments["recipe"] in packaged_recipes()
        read_recipe(arguments["recipe"], arguments["overrides"] or [])


def test_every_method_is_told() -> None:
    table = PAGE.split("## Methods")[1].split("## Experts")[0]
    assert re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE) == ["method", *METHODS]
