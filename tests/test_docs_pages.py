"""What the pages of the documentation show: commands are ones that limbeck has, recipes are valid, Python runs."""

import re
from pathlib import Path

import pytest
import yaml
from tests.test_readme import parsed

from limbeck.recipes.packaged import packaged_recipes
from limbeck.recipes.plan import plan
from limbeck.recipes.reading import read_recipe

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(path.stem for path in DOCS.glob("*.md"))
SHORT = ("start", "select", "distill", "compare", "students")
"""Pages of verbs without a test of their own that runs them on less."""
FEWER = {"epochs=15": "epochs=1", "steps=300": "steps=4"}


def text_of(page: str) -> str:
    return (DOCS / f"{page}.md").read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text_of(page), re.DOTALL)


def commands(page: str) -> list[str]:
    return [line.strip() for line in re.findall(r"^    (limbeck .*)$", text_of(page), re.MULTILINE)]


@pytest.mark.parametrize(
    ("page", "line"), [(page, line) for page in (*SHORT, "machines", "reports") for line in commands(page)]
)
def test_commands_are_valid(page: str, line: str) -> None:
    values = parsed(line)
    if values.get("recipe") in packaged_recipes():
        read_recipe(values["recipe"], values.get("overrides") or [])


@pytest.mark.parametrize("page", SHORT)
def test_the_python_runs_with_fewer_steps(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = "".join(blocks(page, "python"))
    for long, short in FEWER.items():
        code = code.replace(long, short)
    exec(compile(code, f"{page}.md", "exec"), {})


@pytest.mark.parametrize("page", SHORT)
def test_recipes_are_valid(page: str) -> None:
    for text in blocks(page, "yaml"):
        read_recipe(yaml.safe_load(text))


@pytest.mark.parametrize("page", [page for page in PAGES if page != "plugins"])  # whose parts are there alone
def test_comparisons_have_all_that_they_need(page: str) -> None:
    for content in map(yaml.safe_load, blocks(page, "yaml")):
        if isinstance(content, dict) and {"name", "compare"} <= content.keys():
            assert plan(read_recipe(content))


def test_links_between_pages_lead_somewhere() -> None:
    """Headings are checked when the site is built: generated pages do not exist before."""
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?://|#|generated/)([^)#]+)", text_of(page)):
            assert (DOCS / target).exists(), f"{page}.md links to {target}"


@pytest.mark.parametrize("page", ["../README", *PAGES])
def test_limbeck_is_installed_into_an_environment(page: str) -> None:
    """The Python of Debian and others refuses to install packages from elsewhere."""
    for block in re.findall(r"(?:^    .*\n)+|`[^`]+`", text_of(page), re.MULTILINE):
        assert "pip install -e" not in block.partition("-m venv .venv && source .venv/bin/activate")[0], block


def test_every_page_is_in_the_index() -> None:
    listed = set(re.findall(r"^[\w-]+$", text_of("index"), re.MULTILINE))
    assert {*PAGES} - {"index"} <= listed
