"""A page of the documentation, followed as a reader follows it: files that it shows whole, commands that are typed.

A line "`name`:" and the block of code below it are a file, which a later block of the same name replaces. A `console`
block has commands, which begin with "$ ", and some of their output: each such line must occur in the real output, where
any number matches any other and "..." matches anything.
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
    """Files and commands of a page, in the order of the page."""
    for match in _PART.finditer(text):
        if match["name"]:
            yield File(match["name"], match["file"])
            continue
        for typed in match["typed"].split("$ ")[1:] if match["typed"].startswith("$ ") else []:
            line, *shown = typed.rstrip("\n").splitlines()
            yield Command(line, [words for output_line in shown if (words := output_line.strip()) not in ("", "...")])


def follow(
    text: str, changes: Mapping[str, str], doing: Mapping[str, Callable[[list[str]], str]] | None = None
) -> dict[str, str]:
    """Follows a page in the current folder and checks the output it shows; returns the output of each command.

    Args:
        text: the page, or a part of it.
        changes: text in its files -> replacement, to make it quick; each must occur.
        doing: first word of commands other than `limbeck` -> a function that runs them and returns their output.
    """
    outputs: dict[str, str] = {}
    unused = set(changes)
    for step in steps(text):
        if isinstance(step, File):
            unused -= {change for change in changes if change in step.text}
            Path(step.name).write_text(changed(step.text, changes), encoding="utf-8")
            continue
        first, *arguments = shlex.split(step.line)
        outputs[step.line] = limbeck(arguments) if first == "limbeck" else (doing or {})[first](arguments)
        see(step, outputs[step.line])
    assert not unused, f"not on the page: {unused}"
    return outputs


def changed(text: str, changes: Mapping[str, str]) -> str:
    for old, other in changes.items():
        text = text.replace(old, other)
    return text


def limbeck(arguments: list[str]) -> str:
    """Output of the command line, which must succeed."""
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, f"limbeck {' '.join(arguments)}: {result.output}"
    return result.output


def see(step: Command, output: str) -> None:
    """Checks that every line shown occurs in the output, whatever its numbers and line breaks."""
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
