"""Help and lists answer at once: what they import is asserted here, and how long that takes measured by hand."""

import subprocess
import sys

import pytest

HEAVY = ("accelerate", "altair", "datasets", "numpy", "pandas", "pyarrow", "scipy", "sklearn", "timm", "torch")
NOT_FOR_HELP = (*HEAVY, "filelock", "pydantic", "rich.progress", "yaml")


def imported(*arguments: str, among: tuple[str, ...]) -> list[str]:
    """Modules that the command imports, in a process of its own."""
    code = (
        f"import sys; from limbeck.cli import main; sys.argv = ['limbeck', *{arguments!r}]\n"
        f"try: main()\nfinally: print('imported:', *(one for one in {among!r} if one in sys.modules))"
    )
    process = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return process.stdout.rpartition("imported:")[2].split()


@pytest.mark.parametrize("arguments", [("--help",), ("-h",)])
def test_help_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    assert imported(*arguments, among=NOT_FOR_HELP) == []


@pytest.mark.parametrize(
    "family", ["datasets", "models", "objectives", "views", "criteria", "plugins", "recipes", "runs"]
)
def test_lists_import_no_torch(family: str) -> None:
    assert imported("ls", family, among=HEAVY) == []


def test_one_objective_and_the_cache_are_listed_without_torch() -> None:
    assert imported("ls", "objectives", "kd", among=HEAVY) == []
    assert imported("cache", "ls", among=("torch",)) == []
