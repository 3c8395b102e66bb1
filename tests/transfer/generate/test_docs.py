"""The Python of docs/generate.md runs, and its recipes and commands are valid."""

import re
from pathlib import Path

import pytest
import yaml
from tests.test_readme import parsed

from limbeck.recipes.generating import settings_to_generate
from limbeck.recipes.packaged import packaged_recipes
from limbeck.recipes.reading import read_recipe
from limbeck.transfer.generate.counting import check_steps, check_warmup, images_wanted, rounds_needed
from limbeck.transfer.generate.methods import METHODS
from limbeck.transfer.generate.settings import GenerateSettings

PAGE = (Path(__file__).parents[3] / "docs" / "generate.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
LINES = [line.strip() for line in re.findall(r"^    (limbeck .*)$", PAGE, re.MULTILINE)]
FEWER = {
    "epochs=20": "epochs=1",
    "budget=7680": "budget=32, inner_steps=1",
    "batch_size=128": "batch_size=8",
    "steps=2000": "steps=2",
    "warmup_rounds=6": "warmup_rounds=1",
    '"width": 32': '"width": 8',
    "budget=256": "budget=16",
    "inner_steps=5": "inner_steps=1",
}


def blocks(language: str) -> list[str]:
    return [text for kind, text in BLOCKS if kind == language]


def test_no_block_is_left_out() -> None:
    assert {kind for kind, _ in BLOCKS} == {"python", "yaml", "text"}  # text: what the code printed
    assert len(LINES) == 5


@pytest.mark.parametrize("code", blocks("python"))
def test_the_python_runs_on_fewer_images(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for long, short in FEWER.items():
        code = code.replace(long, short)
    exec(compile(code, "generate.md", "exec"), {})
    assert list(Path("runs").glob("*/report.html"))


def test_what_is_made_fewer_is_there() -> None:
    python = "".join(blocks("python"))
    assert all(long in python for long in FEWER)


@pytest.mark.parametrize("text", blocks("yaml"))
def test_recipes_are_valid(text: str) -> None:
    recipe = read_recipe(yaml.safe_load(text))
    arms = [recipe.transfer] if recipe.compare is None else [arm.transfer for arm in recipe.compare.arms.values()]
    assert all(arms) or recipe.name == "second-student"
    if isinstance(recipe.transfer, GenerateSettings):
        settings = recipe.transfer.settled(10)
        check_steps(settings, images_wanted(settings, 10), recipe.training.steps)


@pytest.mark.parametrize("line", LINES)
def test_commands_are_valid(line: str) -> None:
    args = parsed(line)
    if args["verb"] == "generate":
        settings = settings_to_generate({"method": args["method"], "budget": args["budget"]}, alone=False).settled(10)
        count = images_wanted(settings, 10)
        check_warmup(settings, count)
        assert (settings.method, settings.warmup_rounds, rounds_needed(settings, count)) == ("bsr", 2, 20)
    if args["verb"] == "run":
        assert args["recipe"] in packaged_recipes()
        read_recipe(args["recipe"], args["overrides"] or [])


def test_every_method_is_told() -> None:
    table = PAGE.split("## Methods")[1].split("## Rounds")[0]
    assert re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE) == ["method", *METHODS]
