"""The page of several selections from the same images: which of them chose the same, and what each looks like."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from limbeck.data.transfer_set import PARQUET_NAME
from limbeck.errors import UserError
from limbeck.report import formats, page
from limbeck.report.blocks import Block, Code, Fact, Gallery, Note, Page, Section
from limbeck.report.transfer_set.overlap import AWAY, COLOURS, Choice, Choices, overlap_blocks, read_columns, similar
from limbeck.report.transfer_set.page import read_selection
from limbeck.report.transfer_set.pictures import gallery
from limbeck.report.transfer_set.section import sentence
from limbeck.transfer.criteria import Criterion
from limbeck.transfer.details import PICTURES
from limbeck.transfer.summary import Summary

_MEND = "Copy the whole folder, or `limbeck select` into another one."


@dataclass(frozen=True)
class _Selected:
    """One folder of `limbeck select`."""

    folder: Path
    about: dict[str, Any]
    classes: Sequence[str]
    criterion: Criterion | None
    summary: Summary
    source: str
    choice: Choice

    @property
    def name(self) -> str:
        return self.choice.arm


def write_selections_report(folders: Sequence[Path], path: Path) -> Path:
    """Write one page about several folders that `limbeck select` made; returns its path.

    Args:
        folders: two or more, of selections from the same images; those of equally many images are compared.
        path: the HTML file.

    Raises:
        UserError: a folder holds no selection, they are of different images, or no two have equally many.

    Example:
        >>> str(write_selections_report(["runs/entropy", "runs/variance"], "shared.html"))
        'shared.html'
    """
    if len({Path(folder).resolve() for folder in folders}) < max(len(folders), 2):
        raise UserError(f"selections must be two or more, each once, got {formats.listing(map(str, folders))}.")
    found = [_read(Path(folder), name) for folder, name in zip(folders, _names(folders), strict=True)]
    for one in found[1:]:
        if one.source != found[0].source:
            raise UserError(
                f"selections can be compared that were made from the same images, got {found[0].source!r} in "
                f"{found[0].folder} and {one.source!r} in {one.folder}."
            )
    groups = _by_size(found)
    if not groups:
        sizes = formats.listing(f"{formats.number(one.summary.chosen)} in {one.folder}" for one in found)
        raise UserError(f"selections can be compared that chose equally many images, got {sizes}; use one budget.")
    return page.write(_page(found, groups), path)


def _names(folders: Sequence[Path]) -> list[str]:
    """Names of the folders, or their paths where two have the same."""
    names = [Path(folder).resolve().name for folder in folders]
    return names if len(set(names)) == len(names) else [str(folder) for folder in folders]


def _read(folder: Path, name: str) -> _Selected:
    config, criterion, summary = read_selection(folder)
    if not (folder / PARQUET_NAME).is_file():
        raise UserError(f"{folder} lacks {PARQUET_NAME}, where the ids are. {_MEND}")
    rows = read_columns(folder / PARQUET_NAME, "source", "source_id", mend=_MEND)
    ids, drawn = np.sort(rows["source_id"].to_numpy()), criterion is not None and criterion.score == "random"
    return _Selected(
        folder=folder,
        about=config.get("about") or {},
        classes=[str(one) for one in config.get("classes") or ()],
        criterion=criterion,
        summary=summary,
        source=str(rows["source"][0]),
        choice=Choice(name, drawn, ids, summary.images, summary.classes),
    )


def _by_size(found: Sequence[_Selected]) -> list[Choices]:
    """Selections of equally many images, two or more at a time; similar ones side by side where there are many."""
    groups = []
    for size in sorted({one.summary.chosen for one in found}):
        arms = [one.choice for one in found if one.summary.chosen == size]
        if len(arms) > 1:
            names = similar(Choices("", None, arms))
            arms.sort(key=lambda arm: names.index(arm.arm))
            groups.append(Choices(formats.plural(size, "image"), None, arms, kind="selection"))
    return groups


def _page(found: Sequence[_Selected], groups: Sequence[Choices]) -> Page:
    """Everything the page says, before it is HTML."""
    first = found[0]
    shared = [Note(_how(found, groups)), *overlap_blocks(groups, first.classes)]
    shared += [Note(AWAY)] if first.summary.classes is not None else []
    pictures: list[Block] = [
        Gallery(one.name, ends, open=place == 0)
        for place, one in enumerate(found)
        if (ends := gallery(one.folder / PICTURES))
    ]
    made: list[Block] = [
        Code(f"{one.name}: {sentence(one.summary, one.criterion)}", yaml.safe_dump(one.about, sort_keys=False))
        for one in found
    ]
    sections = [
        Section("criteria", "What the criteria chose", shared),
        *([Section("galleries", "Chosen and left out", pictures)] if pictures else []),
        Section("made", "How they were made", made),
    ]
    return Page(
        kind="selections",
        title=f"{first.source}, {formats.number(len(found))} selections",
        lead=_headlines(groups),
        facts=[_fact(group) for group in groups],
        sections=sections,
    )


def _fact(group: Choices) -> Fact:
    first = group.arms[0]
    return Fact("images each", formats.number(len(first.ids)), f"of {formats.number(first.images)}")


def _headlines(groups: Sequence[Choices]) -> list[str]:
    """The two ends of the map at each size, but for what random draws share where there is anything else."""
    words = []
    for group in groups:
        pairs = list(combinations(range(len(group.arms)), 2))
        told_of = [pair for pair in pairs if not all(group.arms[place].control for place in pair)]
        pairs = sorted(told_of or pairs, key=lambda pair: -group.shares[pair])
        chance = len(group.arms[0].ids) / group.arms[0].images
        told = [_pair(group, pair) for pair in dict.fromkeys((pairs[0], pairs[-1]))]
        words.append(f"At {group.budget}, {'; '.join(told)}; by chance it would be {formats.percent(chance)}")
    return words


def _pair(group: Choices, pair: tuple[int, int]) -> str:
    one, other = (formats.name(group.arms[place].arm) for place in pair)
    return f"{one} and {other} share {formats.percent(float(group.shares[pair]))}"


def _how(found: Sequence[_Selected], groups: Sequence[Choices]) -> str:
    words = f"The images that two selections share, in percent of what each chose. {COLOURS}"
    drawn = [one.about.get("seed") for one in found if one.choice.control]
    if len(set(drawn)) < len(drawn):
        words += (
            " Random scores depend on seed and id alone, so selections that draw by them with the same seed share more "
            "than chance."
        )
    compared = {arm.arm for group in groups for arm in group.arms}
    alone = [f"{one.name} ({formats.number(one.summary.chosen)})" for one in found if one.name not in compared]
    return f"{words} No other chose as many images: {formats.listing(alone)}." if alone else words
