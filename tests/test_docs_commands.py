"""Every command that a page shows, in a block or in a sentence, names a verb, options, lists and recipes that exist."""

import re
from pathlib import Path

import pytest
from tests.test_readme import verb, words

from limbeck.cli.listing import LISTS
from limbeck.recipes.packaged import packaged_recipes

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"^(?:    |\$ )(?:(?!limbeck )\S+ )*(limbeck [a-z].*)$", re.MULTILINE)
_SENTENCE = re.compile(r"`(limbeck\s[^`]*)`")
_OPTION = re.compile(r"--?[A-Za-z]")
_PLACEHOLDER = re.compile(r"[A-Z]+|<.*>|\.\.\.")
_IMPORT = "limbeck as lb"


def whole_lines(text: str) -> list[str]:
    """Lines that are typed as they stand: indented ones, and those after a prompt."""
    return [line for line in _BLOCK.findall(text) if not line.startswith(_IMPORT)]


def mentioned(text: str) -> list[str]:
    """Commands within sentences, which may leave out arguments that the sentence is not about."""
    return [" ".join(line.split()) for line in _SENTENCE.findall(text)]


def check(line: str) -> None:
    """Raises an AssertionError for a verb, an option, a list or a packaged recipe that does not exist."""
    command, name, arguments = verb(words(line))
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    for word in (argument.partition("=")[0] for argument in arguments if _OPTION.match(argument)):
        assert word in options | {"--help", "-h"}, f"`limbeck {name}` has no {word}: {line}"
    if not arguments or arguments[0].startswith("-") or _PLACEHOLDER.fullmatch(arguments[0]):
        return
    if name == "ls" and command.params[0].name == "family":
        assert arguments[0] in LISTS, line
    elif command.params[0].name == "recipe" and not re.search(r"[./]", arguments[0]):
        assert arguments[0] in packaged_recipes(), line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_ones_that_limbeck_has(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for line in (*whole_lines(text), *mentioned(text)):
        check(line)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_whole_lines_lack_nothing(page: Path) -> None:
    """Required arguments are there, and values are of the right type."""
    for line in whole_lines(page.read_text(encoding="utf-8")):
        if "..." not in line:
            command, name, arguments = verb(words(line))
            command.make_context(name, arguments)


def test_commands_are_found_wherever_they_stand() -> None:
    text = "    limbeck ls\n\n    A=1 accelerate launch -m limbeck run a.yaml\n$ limbeck demo\n`limbeck\nls runs`"
    assert whole_lines(text) == ["limbeck ls", "limbeck run a.yaml", "limbeck demo"]
    assert mentioned(text) == ["limbeck ls runs"]
    assert sum(len(whole_lines(page.read_text(encoding="utf-8"))) for page in PAGES) > 60


@pytest.mark.parametrize(
    "line",
    [
        "limbeck describe cifar10",
        "limbeck cache list",
        "limbeck evaluate runs/one --dataset digits",
        "limbeck ls networks",
        "limbeck compare cifar10-selections",
    ],
)
def test_what_there_is_none_of_is_noticed(line: str) -> None:
    with pytest.raises(AssertionError):
        check(line)
