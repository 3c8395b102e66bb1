"""A page of the documentation, followed as a reader follows it: files that it shows whole, commands that are typed.

A line that is "`name`:" and the block of code below it are a file, as often as it comes anew. A block of `console` has
commands, which begin with "$ ", and some of what they say: each such line is looked for, any number standing for any
other, "..." for whatever.
"""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from typer.testing import CliRunner

from limbeck.cli.main import app

DOCS = Path(__file__).parents[1] / "docs"
_PART = re.compile(r"^`(?P<name>[\w./-]+)`:\n\n```\w+\n(?P<file>.*?)^```|^```console\n(?P<typed>.*?)^```", re.M | re.S)
_NUMBER = re.compile(r"[-+−]?\d[\d,.]*")


class File(NamedTuple):
    """A file that the reader writes."""

    name: str
    text: str


class Command(NamedTuple):
    """What the reader types, and what is shown below it."""

    line: str
    shown: list[str]


def steps(text: str) -> Iterator[File | Command]:
    """Files and commands of a page, in its order."""
    for found in _PART.finditer(text):
        if found["name"]:
            yield File(found["name"], found["file"])
            continue
        for one in found["typed"].split("$ ")[1:] if found["typed"].startswith("$ ") else []:
            line, *shown = one.rstrip("\n").splitlines()
            yield Command(line, [words for each in shown if (words := each.strip()) not in ("", "...")])


def follow(
    text: str, changes: Mapping[str, str], doing: Mapping[str, Callable[[list[str]], str]] | None = None
) -> dict[str, str]:
    """Does in the current folder what a page says, and sees what it shows; returns what each command said.

    Args:
        text: of the page, or of a part of it.
        changes: numbers of its files that make it quick, and what they become; each must be there.
        doing: what is to be done for commands other than `limbeck`, by their first word; returns what they say.
    """
    said: dict[str, str] = {}
    unused = set(changes)
    for step in steps(text):
        if isinstance(step, File):
            unused -= {one for one in changes if one in step.text}
            Path(step.name).write_text(changed(step.text, changes), encoding="utf-8")
            continue
        first, *arguments = shlex.split(step.line)
        said[step.line] = limbeck(arguments) if first == "limbeck" else (doing or {})[first](arguments)
        see(step, said[step.line])
    assert not unused, f"not on the page: {unused}"
    return said


def changed(text: str, changes: Mapping[str, str]) -> str:
    for one, other in changes.items():
        text = text.replace(one, other)
    return text


def limbeck(arguments: list[str]) -> str:
    """What the command line says, which must be content."""
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, f"limbeck {' '.join(arguments)}: {result.output}"
    return result.output


def see(step: Command, output: str) -> None:
    """Every line that is shown is there, whatever its numbers and wherever it breaks."""
    flat = _flat(output)
    for line in step.shown:
        for words in filter(None, map(_flat, line.split("..."))):
            assert words in flat, f"`{step.line}` does not say {line!r}, but: {output}"


def _flat(text: str) -> str:
    return " ".join(_NUMBER.sub("#", text).split())


def python_without(*modules: str, folder: Path) -> Callable[[list[str]], str]:
    """Runs Python in a process of its own that cannot import `modules`; `folder` is for what stands in their place."""
    for name in modules:
        (folder / f"{name}.py").write_text(f"raise ImportError('no {name} on the device')\n")

    def run(arguments: list[str]) -> str:
        environment = {"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(
            [sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
