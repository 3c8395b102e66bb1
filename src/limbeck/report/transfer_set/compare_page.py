"""The page of several transfer sets from the same images: which of them share images, and what each looks like."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from limbeck.data.transfer_set_folder import PARQUET_NAME
from limbeck.errors import UserError
from limbeck.report import formats, page
from limbeck.report.blocks import Block, Code, Fact, Gallery, Note, Page, Section
from limbeck.report.transfer_set.choices import Choice, Choices, chosen_ids, similar
from limbeck.report.transfer_set.overlap import AWAY, COLOURS, overlap_blocks
from limbeck.report.transfer_set.page import light, read_transfer_set
from limbeck.report.transfer_set.pictures import picture_groups
from limbeck.transfer.evidence import Evidence
from limbeck.transfer.summary import Summary
from limbeck.yaml_text import yaml_text


@dataclass(frozen=True)
class _Made:
    """The folder of one transfer set."""

    folder: Path
    about: dict[str, Any]
    evidence: Evidence
    summary: Summary
    choice: Choice

    @property
    def name(self) -> str:
        return self.choice.name


def write_selections_report(folders: Sequence[Path], path: Path) -> Path:
    """Write one page about several folders that `limbeck select` made; returns its path.

    Args:
        folders: two or more, of transfer sets from the same images; those of equally many images are compared.
        path: the HTML file.

    Raises:
        UserError: a folder holds no transfer set, they are of different images, or no two have equally many.

    Example:
        >>> str(write_selections_report(["runs/entropy", "runs/variance"], "shared.html"))
        'shared.html'
    """
    if len({Path(folder).resolve() for folder in folders}) < max(len(folders), 2):
        raise UserError(f"transfer sets must be two or more, each once, got {formats.listing(map(str, folders))}.")
    selections = [_read(Path(folder), name) for folder, name in zip(folders, _names(folders), strict=True)]
    for other in selections[1:]:
        if other.choice.pool != selections[0].choice.pool:
            raise UserError(
                f"transfer sets can be compared that were made from the same images, got {_pool(selections[0])} in "
                f"{selections[0].folder} and {_pool(other)} in {other.folder}."
            )
    groups = _by_size(selections)
    if not groups:
        sizes = formats.listing(
            f"{formats.number(len(selection.choice))} in {selection.folder}" for selection in selections
        )
        raise UserError(f"transfer sets can be compared that hold equally many images, got {sizes}; use one budget.")
    return page.write(_page(selections, groups), path)


def _names(folders: Sequence[Path]) -> list[str]:
    """Names of the folders, or their paths where two have the same."""
    names = [Path(folder).resolve().name for folder in folders]
    return names if len(set(names)) == len(names) else [str(folder) for folder in folders]


def _read(folder: Path, name: str) -> _Made:
    config, evidence = read_transfer_set(folder)
    mend = "Copy the whole folder, or make it again in another one."
    if not (folder / PARQUET_NAME).is_file():
        raise UserError(f"{folder} lacks {PARQUET_NAME}, where the ids are. {mend}")
    if evidence.summary is None:
        raise UserError(f"{folder} does not tell which images it was chosen from, so it cannot be compared.")
    ids = chosen_ids(folder / PARQUET_NAME, mend)
    summary = evidence.summary
    pool = frozenset(ids if summary.sources is None else summary.sources.names)
    choice = Choice(name, not evidence.score, ids, summary.images, summary.classes, pool)
    return _Made(folder, config.get("about") or {}, evidence, summary, choice)


def _pool(made: _Made) -> str:
    return formats.listing(map(repr, sorted(made.choice.pool)))


def _by_size(found: Sequence[_Made]) -> list[Choices]:
    """Sets of equally many images, two or more at a time; similar ones side by side where there are many."""
    groups = []
    for size in sorted({len(selection.choice) for selection in found}):
        arms = [selection.choice for selection in found if len(selection.choice) == size]
        if len(arms) > 1:
            names = similar(Choices("", None, arms))
            arms.sort(key=lambda arm: names.index(arm.name))
            groups.append(Choices(formats.plural(size, "image"), None, arms, kind="set"))
    return groups


def _page(found: Sequence[_Made], groups: Sequence[Choices]) -> Page:
    """The content of the page, before it is rendered as HTML."""
    first = found[0]
    shared = [Note(_how(found, groups)), *overlap_blocks(groups, first.evidence.classes)]
    shared += [Note(AWAY)] if first.summary.classes is not None else []
    pictures: list[Block] = [
        Gallery(selection.name, shown, open=place == 0)
        for place, selection in enumerate(found)
        if (shown := light(picture_groups(selection.evidence))[0])
    ]
    settings: list[Block] = [
        Code(f"{selection.name}: {selection.evidence.headline}", yaml_text(selection.about)) for selection in found
    ]
    sections = [
        Section("shared", "What they share", shared),
        *([Section("galleries", "Images to look at", pictures)] if pictures else []),
        Section("made", "How they were made", settings),
    ]
    return Page(
        kind="transfer sets",
        title=f"{formats.listing(sorted(first.choice.pool))}, {formats.number(len(found))} transfer sets",
        lead=_headlines(groups),
        facts=[_fact(group) for group in groups],
        sections=sections,
    )


def _fact(group: Choices) -> Fact:
    first = group.arms[0]
    return Fact("images each", formats.number(len(first)), f"of {formats.number(first.images)}")


def _headlines(groups: Sequence[Choices]) -> list[str]:
    """The pairs that share most and least at each size; pairs of random draws only if there are no others."""
    words = []
    for group in groups:
        pairs = list(combinations(range(len(group.arms)), 2))
        noteworthy = [pair for pair in pairs if not all(group.arms[place].quiet for place in pair)]
        pairs = sorted(noteworthy or pairs, key=lambda pair: -group.shares[pair])
        chance = len(group.arms[0]) / group.arms[0].images
        phrases = [_pair(group, pair) for pair in dict.fromkeys((pairs[0], pairs[-1]))]
        words.append(f"At {group.budget}, {'; '.join(phrases)}; by chance it would be {formats.percent(chance)}")
    return words


def _pair(group: Choices, pair: tuple[int, int]) -> str:
    first, second = (group.arms[place].name for place in pair)
    return f"{first} and {second} share {formats.percent(float(group.shares[pair]))}"


def _how(found: Sequence[_Made], groups: Sequence[Choices]) -> str:
    words = f"The images that two sets share, in percent of what each holds. {COLOURS}"
    drawn = [selection.about.get("seed") for selection in found if selection.choice.quiet]
    if len(set(drawn)) < len(drawn):
        words += " Sets that are drawn at random with the same seed may share more than chance."
    compared = {arm.name for group in groups for arm in group.arms}
    alone = [
        f"{selection.name} ({formats.number(len(selection.choice))})"
        for selection in found
        if selection.name not in compared
    ]
    return f"{words} No other holds as many images: {formats.listing(alone)}." if alone else words
