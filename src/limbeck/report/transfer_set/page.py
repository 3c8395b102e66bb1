"""The page of a selection: what `limbeck select` chose and what it left out."""

from pathlib import Path
from typing import Any

import yaml

from limbeck.data.transfer_set import CONFIG_NAME
from limbeck.errors import UserError
from limbeck.report import formats, page, reading
from limbeck.report.blocks import Code, Fact, Note, Page, Section
from limbeck.report.transfer_set.pictures import gallery
from limbeck.report.transfer_set.section import chosen_section, read_summary, sentence
from limbeck.transfer.criteria import Criterion
from limbeck.transfer.details import DETAILS, NUMBERS, PICTURES, TABLE
from limbeck.transfer.summary import Summary

Row = dict[str, Any]
_MEND = "`limbeck select` makes it again, in another folder."
_FOLDER = (
    "The transfer set is what lies in data/, with README.md and transfer_set.json: recipes, limbeck.load and "
    f"datasets.load_dataset read that alone. What lies in {DETAILS}/ is for this page."
)


def write_selection_report(folder: Path) -> Path:
    """Write report.html of a folder that `limbeck select` made; returns its path.

    Args:
        folder: of a transfer set, with what `save_details` left in it.

    Raises:
        UserError: it holds no selection, or a file in it is broken.

    Example:
        >>> str(write_selection_report("runs/entropy"))
        'runs/entropy/report.html'
    """
    folder = Path(folder)
    config, criterion, summary = read_selection(folder)
    return page.write(_page(folder, config, summary, criterion), folder / "report.html")


def read_selection(folder: Path) -> tuple[Row, Criterion | None, Summary]:
    """Configuration of the transfer set, how it was chosen as far as this version knows it, and what was chosen.

    Raises:
        UserError: as `write_selection_report`.
    """
    config = reading.json_file(folder / CONFIG_NAME, _MEND)
    if not isinstance(config, dict):
        raise UserError(f"{folder} holds no selection: it has no {CONFIG_NAME}. {_MEND}")
    criterion = reading.criterion((config.get("about") or {}).get("criterion"))
    summary = _summary(folder, criterion)
    if summary is None:
        raise UserError(
            f"{folder} holds a transfer set, but no {DETAILS}/ that tells what was left out; only `limbeck select` "
            "leaves one. Select again, into another folder."
        )
    return config, criterion, summary


def _summary(folder: Path, criterion: Criterion | None) -> Summary | None:
    """Of the rows of all images, else the numbers that a table of scores left in their place."""
    path = folder / NUMBERS
    found = reading.json_file(path, _MEND)
    if found is None:
        return read_summary(folder / TABLE, criterion)
    try:
        return Summary.from_dict(found)
    except (TypeError, KeyError) as error:
        raise UserError(f"{path} cannot be read ({error}). {_MEND}") from error


def _page(folder: Path, config: Row, summary: Summary, criterion: Criterion | None) -> Page:
    """Everything the page says, before it is HTML."""
    about, classes = config.get("about") or {}, [str(name) for name in config.get("classes") or ()]
    made = yaml.safe_dump(about, sort_keys=False, allow_unicode=True)
    sections = [
        chosen_section(summary, criterion, classes, gallery(folder / PICTURES), opening=False),
        Section("made", "How it was made", [Code("Criterion, budget and seed", made, open=True)]),
        Section("folder", "What lies here", [Note(_FOLDER)]),
    ]
    return Page(
        kind="selection",
        title=folder.resolve().name,
        lead=[sentence(summary, criterion, str(config.get("name") or ""))],
        facts=_facts(summary, about),
        sections=[one for one in sections if one],
    )


def _facts(summary: Summary, about: Row) -> list[Fact]:
    facts = [Fact("images", formats.number(summary.chosen), f"of {formats.number(summary.images)}")]
    if summary.classes is not None:
        counts = [chosen for size, chosen in zip(summary.classes.sizes, summary.classes.chosen, strict=True) if size]
        ends = [formats.number(count) for count in dict.fromkeys((min(counts), max(counts)))]
        facts.append(Fact("classes", formats.number(len(counts)), f"{' to '.join(ends)} images of each"))
    facts += [Fact(key, str(about[key])) for key in ("budget", "seed") if about.get(key) is not None]
    return facts
