"""What arms or transfer sets have in common: the images that two of them share, and how balanced their classes are."""

from collections.abc import Sequence
from math import sqrt
from pathlib import Path
from typing import Any

from limbeck.report import formats
from limbeck.report.blocks import Block, Cell, Chart, Grid, Note, Section, Table
from limbeck.report.figures import transfer_set as figures
from limbeck.report.transfer_set.balance import apart
from limbeck.report.transfer_set.choices import FEW, Choice, Choices, choices_of_runs
from limbeck.report.vega import figure
from limbeck.transfer.summary import Shares

Row = dict[str, Any]
COLOURS = "Blue is more than chance would give, orange less; in full colour they hold the same images, or share none."
AWAY = "Away from even is the share of the images that would have to be exchanged for classes of equal size."
_AGAIN = (
    "Chosen again is the share that an arm chose with the next seed, too: all of its images where nothing is drawn, so "
    "that its spread over seeds is that of training alone."
)


def overlap_section(folder: Path, results: Row) -> Section | None:
    """Overlap and balance of the arms at each budget; None where fewer than two left a table of what they chose from.

    Raises:
        UserError: a table is broken.
    """
    compared = [choices for choices in choices_of_runs(folder, results) if len(choices.arms) > 1]
    if not compared:
        return None
    blocks = [Note(_how(compared)), *overlap_blocks(compared, _classes(results)), Note(f"{AWAY} {_AGAIN}")]
    return Section("overlap", "What the arms chose", blocks)


def overlap_blocks(found: Sequence[Choices], classes: Sequence[str]) -> list[Block]:
    """A map of what two arms share and a table of their balance for each of `found`; `classes` are names by number."""
    charts = [_chart(place, choices) for place, choices in enumerate(found)]
    tables = [_table(choices, classes) for choices in found]
    if max(len(choices.arms) for choices in found) <= FEW:
        return [Grid(charts), *tables]
    return [block for pair in zip(charts, tables, strict=True) for block in pair]


def _how(found: Sequence[Choices]) -> str:
    seeds = formats.listing(dict.fromkeys(str(choices.seed) for choices in found))
    words = f"The images that two arms share, in percent of what each chose, with seed {seeds}. {COLOURS}"
    missing = [f"{formats.listing(choices.others)} at {choices.budget}" for choices in found if choices.others]
    return f"{words} Without a choice of that seed: {'; '.join(missing)}." if missing else words


def _chart(place: int, choices: Choices) -> Chart:
    names = [arm.name for arm in choices.arms]
    pairs = [(i, j) for i in range(len(names)) for j in range(i)]
    chances = {(i, j): _chance(choices.arms[i], choices.arms[j]) for i, j in pairs}
    rows = [
        {
            "arm": names[i],
            "other": names[j],
            "both": int(choices.common[i, j]),
            "share": float(choices.shares[i, j]),
            "chance": chances[i, j][0],
        }
        for i, j in pairs
    ]
    label = f"Images that two {choices.kind}s share at {choices.budget}"
    drawn = figure(figures.overlap_map(rows, names), f"overlap-{place}", label, fluid=False)
    caption = _by_chance(choices, [*chances.values()])
    return Chart(drawn, f"Shared by two {choices.kind}s at {choices.budget}", caption)


def _chance(one: Choice, other: Choice) -> tuple[float, float]:
    """The share of the smaller that two draws of these sizes have in common by chance, and its standard deviation."""
    small, large = sorted((len(one), len(other)))
    images = max(one.images, other.images)
    chance = large / images
    return chance, sqrt(chance * (1 - chance) * (images - small) / max(images - 1, 1) / max(small, 1))


def _by_chance(choices: Choices, chances: Sequence[tuple[float, float]]) -> str:
    """How many images arms chose, and what two draws of as many would share."""
    images = formats.number(max(arm.images for arm in choices.arms))
    share = " to ".join(dict.fromkeys(formats.percent(end(chance for chance, _ in chances)) for end in (min, max)))
    give = formats.points(2 * max(deviation for _, deviation in chances), signed=False)
    equally = _equally_many(choices)
    return (
        f"{'Each' if equally else 'They'} chose {_sizes(choices)} of {images} images. Two draws by chance would share "
        f"{share}{'' if equally else ' of the smaller'}, give or take {'' if equally else 'up to '}{give} points "
        "(two standard deviations)."
    )


def _equally_many(choices: Choices) -> bool:
    return len({*map(len, choices.arms)}) == 1


def _sizes(choices: Choices) -> str:
    """How many images arms chose, as '90', or '45 to 90' where these are unequally many."""
    ends = dict.fromkeys(formats.number(end(map(len, choices.arms))) for end in (min, max))
    return " to ".join(ends)


def _table(choices: Choices, classes: Sequence[str]) -> Table:
    labelled = all(arm.classes is not None for arm in choices.arms)
    seeded = choices.seed is not None
    columns = [
        choices.kind.capitalize(),
        *(("Fewest of a class", "Most of a class", "Away from even") if labelled else ()),
        *(("Chosen again",) if seeded else ()),
    ]
    rows = [
        (
            Cell(arm.name, tone="quiet" if arm.quiet else "strong"),
            *(_balance(arm.classes, classes) if labelled and arm.classes is not None else ()),
            *((formats.percent(arm.again),) if seeded else ()),
        )
        for arm in choices.arms
    ]
    caption = f"{choices.kind.capitalize()}s of {choices.budget}"
    if seeded:
        each = " each" if _equally_many(choices) else ""
        caption = f"At {choices.budget}, seed {choices.seed}: {_sizes(choices)} images{each}"
    return Table(caption, columns, rows, folded=len(rows) > 2 * FEW)


def _balance(shares: Shares, classes: Sequence[str]) -> tuple[str, str, str]:
    counts = [
        (count, place) for place, (size, count) in enumerate(zip(shares.sizes, shares.chosen, strict=True)) if size
    ]
    (least, first), (most, last) = min(counts), max(counts)
    if least == most:
        return formats.number(least), formats.number(most), formats.percent(0.0)
    fewest = f"{formats.number(least)} ({formats.name_of(first, classes)})"
    return fewest, f"{formats.number(most)} ({formats.name_of(last, classes)})", formats.percent(apart(shares))


def _classes(results: Row) -> list[str]:
    evaluation = (results.get("teacher") or {}).get("evaluation") or {}
    return [str(row["class"]) for row in evaluation.get("per_class") or []]
