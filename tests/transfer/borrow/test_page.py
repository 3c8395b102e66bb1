"""What docs/borrow.md shows runs, and its recipes and commands are ones that limbeck understands."""

import re
from pathlib import Path

import pytest
import yaml
from tests.test_readme import parsed

from limbeck.data.catalogue import DATASETS
from limbeck.recipes.reading import read_recipe
from limbeck.transfer.borrow.settings import CRITERIA

PAGE = (Path(__file__).parents[3] / "docs" / "borrow.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
LINES = [line.strip() for line in re.findall(r"^    (limbeck .*)$", PAGE, re.MULTILINE)]
FEWER = {"epochs=15": "epochs=1", "steps=2000": "steps=4", "20000}": "60}", "budget=4000": "budget=40"}


def blocks(language: str) -> list[str]:
    return [text for kind, text in BLOCKS if kind == language]


def test_no_block_is_left_out() -> None:
    assert {kind for kind, _ in BLOCKS} == {"python", "yaml", "text"}  # text: what a command printed
    assert len(LINES) == 3


# After one epoch the teacher gives few classes.
@pytest.mark.filterwarnings("ignore:the teacher takes no image of the pools")
@pytest.mark.parametrize("code", blocks("python"))
def test_the_python_runs_on_fewer_images(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for long, short in FEWER.items():
        assert long in code
        code = code.replace(long, short)
    exec(compile(code, "borrow.md", "exec"), {})
    assert Path("runs/borrowed/report.html").is_file()


@pytest.mark.parametrize("text", blocks("yaml"))
def test_recipes_are_valid(text: str) -> None:
    recipe = read_recipe(yaml.safe_load(text))
    arms = [recipe.transfer] if recipe.compare is None else [arm.transfer for arm in recipe.compare.arms.values()]
    assert all(arms)


@pytest.mark.parametrize("line", LINES)
def test_commands_are_valid(line: str) -> None:
    values = parsed(line)
    assert set(values.get("pools", ())) <= set(DATASETS)


def test_every_criterion_is_told() -> None:
    assert set(CRITERIA) <= set(re.findall(r"`([\w-]+)`", PAGE.split("## Which images")[1].split("##")[0]))
