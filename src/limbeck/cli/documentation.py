"""Pages of docs/ and stubs that are made from tables in the code: `python -m limbeck.cli.documentation docs`."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from limbeck.cli.display import console
from limbeck.cli.listing import needs, shown, written_sum
from limbeck.objectives.catalogue import OBJECTIVES
from limbeck.objectives.stubs import write_stubs
from limbeck.recipes.published import OTHER_PAIRS, OTHER_TABLE, PAIRS, TABLE

_MADE = "<!-- Made by `python -m limbeck.cli.documentation docs`; edit {} instead. -->"


def objectives_page() -> str:
    """docs/objectives.md."""
    rows = [
        (
            f"`{name}`" + "".join(f", `{alias}`" for alias in entry.aliases),
            entry.summary,
            ", ".join(needs(entry)),
            f"{entry.weight:g}",
            f"`{written_sum(entry.typical)}`",
            ", ".join(f"`{key}: {_written(value)}`" for key, value in entry.options.items()),
            f"{entry.paper} ({entry.year})",
        )
        for name, entry in OBJECTIVES.built_in.items()
    ]
    return "\n".join(
        [
            "# Objectives",
            "",
            _MADE.format("src/limbeck/objectives/catalogue.py"),
            "",
            "What a student may learn from. A recipe names one (`objective: kd`) or a weighted sum",
            "(`objective: {cross_entropy: 0.1, kd: {weight: 0.9, temperature: 2}}`). The weight and the options are",
            "used where none are given; each objective was published in the sum beside them, at these options (`rrd`'s",
            "are of a later release than its published accuracies, whose options its recipe has), and",
            "`cifar100-<name>` is the recipe of that.",
            "",
            *_table(("name", "learns from", "needs", "weight", "published in", "options", "paper"), rows),
            "",
        ]
    )


def reported_page() -> str:
    """docs/cifar100.md."""
    return "\n".join(
        [
            "# CIFAR-100 pairs: what others report",
            "",
            _MADE.format("src/limbeck/recipes/published.py"),
            "",
            "Top-1 in %, from elsewhere and not measured here. Accuracies after the last epoch and at the best test",
            "epoch are not comparable: the best test epoch was chosen by the test images. The recipes",
            "`cifar100-<objective>` run these pairs as published and report the last step; variants are chosen by",
            "`-s variant=...`.",
            "",
            *_reported(PAIRS, TABLE),
            "",
            "Pairs of the same networks that no recipe names:",
            "",
            *_reported(OTHER_PAIRS, OTHER_TABLE),
            "",
        ]
    )


PAGES = {"objectives.md": objectives_page, "cifar100.md": reported_page}


def _reported(pairs: Sequence[str], table: Mapping[str, tuple[str, str]]) -> list[str]:
    """Methods down, pairs across."""
    rows = [
        (f"`{name}`", *(values.split() + ["-"] * (len(pairs) - len(values.split()))), source)
        for name, (source, values) in table.items()
    ]
    return _table(("objective", *(pair.replace("-", " -> ") for pair in pairs), "which epoch, and where"), rows)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines]


def _written(value: object) -> str:
    """As a recipe has it: `1:` would be a mapping without quotes."""
    return f'"{value}"' if isinstance(value, str) and ":" in value else shown(value)


def main(folder: str) -> None:
    for name, page in PAGES.items():
        path = Path(folder) / name
        path.write_text(page(), encoding="utf-8")
        console.print(f"wrote {path}", markup=False)


if __name__ == "__main__":
    main(sys.argv[1])
    write_stubs()
