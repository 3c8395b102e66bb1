"""The page of a transfer set, and the section about it on the page of a run: what its evidence says."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from limbeck.data.transfer_set_folder import CONFIG_NAME, USE_NAME
from limbeck.errors import UserError
from limbeck.report import formats, page, reading
from limbeck.report.blocks import Block, Code, Fact, Gallery, Note, Page, Section
from limbeck.report.transfer_set import old_layouts
from limbeck.report.transfer_set.balance import class_blocks, group_blocks, source_blocks
from limbeck.report.transfer_set.own_figures import figure_blocks
from limbeck.report.transfer_set.pictures import Picture, picture_groups
from limbeck.report.transfer_set.scores import score_blocks
from limbeck.transfer.evidence import EVIDENCE, Evidence, read_evidence
from limbeck.yaml_text import yaml_text

Row = dict[str, Any]
GALLERY_BYTES = 1_200_000  # of pictures on a page
_FOLDER = (
    "The transfer set is what lies in data/, with README.md and transfer_set.json: recipes, limbeck.load and "
    f"datasets.load_dataset read that alone. What lies in {EVIDENCE}/ is for this page."
)

_USE = (
    "The set carries this: `limbeck distill` on its folder and `limbeck evaluate` teach so unless something else is "
    "set. Without it, students come to far less."
)


def write_selection_report(folder: Path) -> Path:
    """Write report.html of the folder of a transfer set, as `limbeck select` makes it; returns its path.

    Args:
        folder: of a transfer set with its evidence.

    Raises:
        UserError: it holds none, or a file in it is broken.

    Example:
        >>> str(write_selection_report("runs/entropy"))
        'runs/entropy/report.html'
    """
    folder = Path(folder)
    return page.write(_page(folder, *read_transfer_set(folder)), folder / "report.html")


def read_transfer_set(folder: Path) -> tuple[Row, Evidence]:
    """Configuration and evidence of the folder of a transfer set.

    Raises:
        UserError: as `write_selection_report`.
    """
    config = reading.json_file(folder / CONFIG_NAME, "Make it again, in another folder.")
    if not isinstance(config, dict):
        raise UserError(f"{folder} holds no transfer set: it has no {CONFIG_NAME}. `limbeck select` makes one.")
    evidence = read_evidence(folder / EVIDENCE) or old_layouts.evidence_of_selection(folder)
    if evidence is None:
        raise UserError(
            f"{folder} holds a transfer set, but no {EVIDENCE}/ that tells how it came about; only what makes transfer "
            "sets, as `limbeck select`, leaves it. Make it again, in another folder."
        )
    if not evidence.classes:
        evidence = replace(evidence, classes=[str(name) for name in config.get("classes") or ()])
    return config, evidence


def evidence_of_run(folder: Path, *, pictures: bool = True) -> Evidence | None:
    """The evidence of what the run in `folder` was taught on; None for a run on all images."""
    return read_evidence(folder / EVIDENCE, pictures=pictures) or old_layouts.evidence_of_run(folder)


def transfer_set_section(evidence: Evidence | None, *, opening: bool = True) -> Section | None:
    """Scores, classes, groups, sources, the maker's own figures and pictures, as far as known; None where nothing is.

    Args:
        evidence: of a run or a transfer set.
        opening: whether to begin with what was made, and how.
    """
    if evidence is None:
        return None
    blocks: list[Block] = [Note(f"{evidence.headline}.")] if opening and evidence.headline else []
    blocks += map(Note, evidence.notes)
    summary = evidence.summary
    if summary is not None:
        blocks += score_blocks(evidence, summary)
        blocks += class_blocks(summary.classes, evidence.classes) if summary.classes is not None else []
        blocks += group_blocks(summary.groups, evidence) if summary.groups is not None else []
        blocks += source_blocks(summary.sources) if summary.sources is not None else []
    blocks += figure_blocks(evidence.figures)
    pictures, left_out = light(picture_groups(evidence))
    if pictures:
        blocks.append(Gallery("Images to look at", pictures, open=True))
    if left_out:
        blocks.append(Note(f"{formats.plural(left_out, 'more group')} of images would have made this page too heavy."))
    partial = summary is None or summary.chosen < summary.images
    return Section("chosen", "Chosen and left out" if partial else "The transfer set", blocks) if blocks else None


def light(groups: Sequence[tuple[str, Sequence[Picture]]]) -> tuple[list[tuple[str, Sequence[Picture]]], int]:
    """The first groups of pictures that a page can carry, one at least, and how many others there are."""
    kept: list[tuple[str, Sequence[Picture]]] = []
    spent = 0
    for title, pictures in groups:
        spent += weight([(title, pictures)])
        if kept and spent > GALLERY_BYTES:
            break
        kept.append((title, pictures))
    return kept, len(groups) - len(kept)


def weight(groups: Sequence[tuple[str, Sequence[Picture]]]) -> int:
    """Bytes of pictures."""
    return sum(len(picture.uri) for _, pictures in groups for picture in pictures)


def _page(folder: Path, config: Row, evidence: Evidence) -> Page:
    """The content of the page, before it is rendered as HTML."""
    settings = yaml_text(config.get("about") or {}, allow_unicode=True)
    sections = [
        transfer_set_section(evidence, opening=False),
        Section("made", "How it was made", [Code("Maker and settings", settings, open=True)]),
        _use_section(config),
        Section("folder", "What lies here", [Note(_FOLDER)]),
    ]
    return Page(
        kind="transfer set",
        title=folder.resolve().name,
        lead=[*([evidence.headline] if evidence.headline else []), *evidence.findings],
        facts=_facts(evidence),
        sections=[section for section in sections if section],
    )


def _use_section(config: Row) -> Section | None:
    """How students are taught on the set, where it says so."""
    use = config.get("use")
    if not isinstance(use, dict) or not use:
        return None
    settings = yaml_text(_without_tensors(use), allow_unicode=True)
    blocks = [Note(_USE), Code("Student, training and objective", settings, open=True)]
    return Section("use", "How students are taught on it", blocks)


def _without_tensors(use: Row) -> Row:
    """The same, with the name of their file in place of tensors, which lie in a file of their own."""
    plain = {}
    for name, value in use.items():
        inner = _without_tensors(value) if isinstance(value, dict) else value
        plain[name] = f"in {USE_NAME}" if isinstance(value, dict) and set(value) == {"tensor", "hash"} else inner
    return plain


def _facts(evidence: Evidence) -> list[Fact]:
    facts, summary = [], evidence.summary
    if summary is not None:
        note = f"of {formats.number(summary.images)}" if summary.chosen < summary.images else ""
        facts.append(Fact("images", formats.number(summary.chosen), note))
    if summary is not None and summary.classes is not None:
        counts = [chosen for size, chosen in zip(summary.classes.sizes, summary.classes.chosen, strict=True) if size]
        ends = [formats.number(count) for count in dict.fromkeys((min(counts), max(counts)))]
        each = "1 image" if ends == ["1"] else f"{' to '.join(ends)} images"
        facts.append(Fact("classes", formats.number(len(counts)), f"{each} of each"))
    return facts + [Fact(name, value) for name, value in evidence.facts.items()]
