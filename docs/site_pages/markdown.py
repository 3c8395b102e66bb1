"""Markdown from values."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    cells = [[" ".join(cell.split()).replace("|", r"\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def as_yaml(value: Mapping[str, Any]) -> str:
    """A fenced block."""
    text = yaml.safe_dump(value, sort_keys=False, width=100)
    return f"```yaml\n{text.rstrip()}\n```"


def code(value: object) -> str:
    return f"`{value}`"


def toctree(paths: Iterable[str]) -> str:
    """Puts pages below the one that holds it, by paths relative to it; the page itself says what they are."""
    return "\n".join(["```{toctree}", ":hidden:", ":titlesonly:", "", *paths, "```"])


def contents(pages: Mapping[str, str]) -> str:
    """A table of pages in the same folder, path -> a line about each, which puts them below the one that holds it."""
    rows = [(f"[{path}]({path}.md)", about) for path, about in pages.items()]
    return "\n\n".join([table(("", ""), rows), toctree(pages)])


def autodoc(directive: str, name: str, *options: str) -> str:
    lines = [f".. {directive}:: {name}", *(f"   :{option}:" for option in options)]
    return "\n".join(["```{eval-rst}", *lines, "```"])


def page(title: str, *parts: str) -> str:
    return "\n\n".join([f"# {title}", *(part for part in parts if part)]) + "\n"


def link(family: str, name: str) -> str:
    """To the page of a method, from that of another; "" where there is none."""
    return f"[{name}](../{family}/{name}.md)" if name else ""


def sentence(text: str) -> str:
    """With a capital at its front and a full stop at its end."""
    return text[:1].upper() + text[1:].rstrip(".") + "." if text else ""
