"""The examples of docs/training.md run, and limbeck accepts its recipes and commands."""

import re
from pathlib import Path

import pytest
import yaml
from tests.test_readme import parsed

from limbeck.recipes.describe import describe
from limbeck.recipes.reading import read_recipe
from limbeck.training.run_folder import RunFolder

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
LINES = [line.strip() for line in re.findall(r"^    (limbeck .*)$", PAGE, re.MULTILINE)]
RECIPES = {recipe["name"]: recipe for recipe in (yaml.safe_load(text) for kind, text in BLOCKS if kind == "yaml")}
FEWER = {"steps=200": "steps=10", "steps=400": "steps=20", '"width": 16': '"width": 4'}


def test_no_block_is_left_out() -> None:
    assert {kind for kind, _ in BLOCKS} == {"python", "yaml"}
    assert (len(LINES), set(RECIPES)) == (3, {"watched", "longer", "teaching"})


def test_the_python_runs_with_fewer_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = (text for kind, text in BLOCKS if kind == "python")
    for long, short in FEWER.items():
        assert long in code
        code = code.replace(long, short)
    namespace: dict[str, object] = {}
    exec(compile(code, "training.md", "exec"), namespace)
    assert RunFolder(Path("runs/one")).read("cost.json")["student_steps"] == 20
    assert Path("runs/one/after-10-steps/student").is_dir()
    assert len([*Path("runs/one/tensorboard").iterdir()]) == 2


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_are_valid(name: str) -> None:
    description = describe(read_recipe(RECIPES[name]))
    assert ("the arm 'kd' repeats the control 'random' at 100 images" in description) == (name == "teaching")


@pytest.mark.parametrize("line", LINES)
def test_commands_are_valid(line: str) -> None:
    arguments = parsed(line)
    recipe = RECIPES.get(arguments["recipe"].removesuffix(".yaml"), arguments["recipe"])
    assert read_recipe(recipe, arguments["overrides"] or []).verb == arguments["verb"]
