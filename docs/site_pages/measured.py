"""What limbeck measured of its own methods, from `docs/results/measured.yaml`."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from site_pages.markdown import table

FILE = Path(__file__).parents[1] / "results" / "measured.yaml"


def studies() -> list[dict[str, Any]]:
    """All studies. Numbers stay text, so that pages show the digits of the lab notes."""
    return yaml.load(FILE.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)


def measured(family: str, name: str) -> str:
    """The section of a method's page; nothing where nothing was measured."""
    pairs = [
        (study, own)
        for study in studies()
        if study["family"] == family and (own := [result for result in study["results"] if result["method"] == name])
    ]
    return "\n\n".join(["## Measured here", *(_study(*pair) for pair in pairs)]) if pairs else ""


def _study(study: dict[str, Any], results: Sequence[dict[str, Any]]) -> str:
    against = study.get("against", "")
    titles = {
        "budget": "images",
        "variant": "variant",
        "top1": "top-1, %",
        "control": against,
        "difference": f"difference from {against}, with its own 95 % interval",
    }
    shown = [key for key in titles if any(key in result for result in results)]
    rows = [[_cell(result, key) for key in shown] for result in results]
    interval = " ± 95 % interval" if any("half_width" in result for result in results) else ""
    seeds = f"; {study['seeds']} seeds, mean{interval}" if int(study.get("seeds", 1)) > 1 else ""
    place = f"[lab notes](../../lab-notes.md#{anchor(study['heading'])})"
    words = f"**{study['task']}**{seeds}. {study['conditions']} ({place})"
    return f"{words}\n\n{table([titles[key] for key in shown], rows)}"


def _cell(result: dict[str, Any], key: str) -> str:
    value = result.get(key, "-")
    if key == "difference" and key in result:
        return difference(value)
    if key == "top1" and "half_width" in result:
        return f"{value} ± {result['half_width']}"
    return value if isinstance(value, str) else ", ".join(value)


def difference(values: Sequence[str]) -> str:
    """Mean and interval, without a verdict, which depends on all that was compared.

    Example:
        >>> difference(["-2.11", "-3.05", "-1.17"])
        '-2.11 (-3.05 to -1.17)'
    """
    mean, low, high = (value if value.startswith("-") else f"+{value}" for value in values)
    return f"{mean} ({low} to {high})"


def anchor(heading: str) -> str:
    """As the site links to a heading.

    Example:
        >>> anchor("Which one? A tenth, say")
        'which-one-a-tenth-say'
    """
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
