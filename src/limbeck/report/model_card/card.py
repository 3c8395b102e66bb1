"""The model card as a whole: rewritten if it is still as limbeck wrote it; any other is never overwritten."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from limbeck.data.class_names import printable
from limbeck.errors import UserError
from limbeck.files import atomic_write_text
from limbeck.report.model_card import text
from limbeck.report.model_card.facts import STUDENT, RunFacts, read_run
from limbeck.report.model_card.front_matter import front_matter
from limbeck.report.model_card.loading import loading

CARD_FILE = "README.md"
_MARK = "<!-- Written by limbeck, which leaves it alone once it is changed: {digest} -->\n"
_MARKED = re.compile(re.escape(_MARK).replace(r"\{digest\}", "([0-9a-f]{16})") + r"\Z")


def model_card(
    folder: str | Path,
    *,
    source: str | None = None,
    licence: str | None = None,
    downloaded: bool = False,
    results: Mapping[str, Any] | None = None,
) -> str:
    """README.md of the student in the folder of a finished run, in the format of the Hugging Face hub.

    Front matter with licence, data sets and results; then how to load it, its accuracy with an interval, data with
    fingerprints, teacher, transfer set and budget, objective, cost and limits.

    Args:
        folder: of the run.
        source: what it is loaded by; by default the folder.
        licence: in place of the recipe's `license`.
        downloaded: whether `source` is a repository on the hub.
        results: of the comparison that the run is one of; by default as they lie in its folder.

    Raises:
        UserError: the folder holds no finished run, or a file in it is broken.

    Example:
        >>> print(model_card("runs/teacher").split("---")[1].strip().splitlines()[0])
        library_name: limbeck
    """
    folder = Path(folder)
    if not (folder / STUDENT).is_dir():
        raise UserError(f"{str(folder)!r} holds no student to write a model card for; finish its run with --resume.")
    facts = read_run(folder, results)
    stated = licence or facts.recipe.get("license")
    lines = _lines(facts, stated, source or str(folder), downloaded=downloaded)
    return _marked(f"---\n{front_matter(facts, stated).strip()}\n---\n\n" + "\n".join(lines).rstrip() + "\n")


def write_model_card(folder: Path, results: Mapping[str, Any] | None = None) -> Path | None:
    """Writes the model card of a finished run beside its student; None if there is one of the user's, which stays.

    Args:
        folder: of the run.
        results: see `model_card`.

    Raises:
        UserError: see `model_card`.

    Example:
        >>> str(write_model_card(Path("runs/teacher")))
        'runs/teacher/README.md'
    """
    path = folder / CARD_FILE
    if path.exists() and not is_own(path.read_text("utf-8", errors="replace")):
        return None
    atomic_write_text(path, model_card(folder, results=results))
    return path


def write_model_cards(comparison: Path, results: Mapping[str, Any]) -> None:
    """Rewrites the cards of all finished runs of a comparison, once the results of the other seeds are known.

    Args:
        comparison: its folder.
        results: as results.json has them.

    Raises:
        UserError: see `model_card`.
    """
    places = [comparison / run["folder"] for run in results["runs"] if run.get("folder")]
    for folder in [comparison / "teacher", *places]:
        if (folder / STUDENT).is_dir() and (folder / "evaluation.json").is_file():
            write_model_card(folder, results)


def is_own(card: str) -> bool:
    """Whether a card is as limbeck wrote it, so that it may be written anew.

    Example:
        >>> is_own(model_card("runs/teacher")), is_own("# Mine"), is_own(model_card("runs/teacher") + "More.")
        (True, False, False)
    """
    mark = _MARKED.search(card)
    return mark is not None and _digest(card[: mark.start()]) == mark[1]


def _lines(facts: RunFacts, licence: str | None, source: str, *, downloaded: bool) -> list[str]:
    sections = {
        "How to load it": loading(facts, source, downloaded=downloaded),
        "Results": text.results(facts),
        "Data": text.data(facts),
        "How it was taught": text.teaching(facts),
        "Cost": text.costs(facts),
        "Limits": text.limits(facts),
        "Licence": text.licence(licence),
    }
    lines = ["# " + " ".join(facts.title.replace("<", "&lt;").split()), "", *text.lead(facts), ""]
    for title, content in sections.items():
        lines += [f"## {title}", "", *content, ""] if content else []
    return [*lines, *text.made_with(facts)]


def _marked(card: str) -> str:
    card = printable(f"{card}\n")  # names of files need not be text
    return card + _MARK.format(digest=_digest(card))


def _digest(card: str) -> str:
    return hashlib.blake2b(card.encode(), digest_size=8).hexdigest()
