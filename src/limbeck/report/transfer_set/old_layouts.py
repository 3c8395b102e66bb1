"""Evidence of selections by earlier versions, from their criterion and from files of another layout.

a run                selection.parquet, gallery.safetensors, recipe.yaml
a selection          selection/table.parquet or selection/summary.json, selection/gallery.safetensors
a comparison         galleries/<arm@budget>.safetensors
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from safetensors import SafetensorError

from limbeck.data.transfer_set_folder import CONFIG_NAME
from limbeck.errors import UserError
from limbeck.report import formats, reading
from limbeck.tensor_files import read_safetensors
from limbeck.transfer.criteria import Criterion, find_criterion
from limbeck.transfer.evidence import Evidence, Pictures, table_rows
from limbeck.transfer.parts import ALLOCATIONS, SCORES, left_out
from limbeck.transfer.summary import Shares, Summary

TABLE_OF_RUN = "selection.parquet"
_TITLES = {
    "chosen_highest": "Chosen, highest {}",
    "chosen_lowest": "Chosen, lowest {}",
    "rejected_highest": "Left out, highest {}",
    "rejected_lowest": "Left out, lowest {}",
}
_MEND = "Delete it and report again to go without."
_RANDOM = (
    "The scores are random numbers, drawn from the seed and the ids, so how they are spread says nothing and is not "
    "shown."
)


def evidence_of_run(folder: Path) -> Evidence | None:
    """The evidence of the selection that a run left; None if it left none."""
    classes, _, pictures = read_gallery(folder / "gallery.safetensors")
    try:
        recipe = yaml.safe_load(reading.text_file(folder / "recipe.yaml") or "")
        criterion = _criterion(recipe["select"]["criterion"])
    except (yaml.YAMLError, TypeError, KeyError):
        criterion = None
    evidence = _numbers(folder / TABLE_OF_RUN, criterion)
    if evidence is None and not pictures:
        return None
    return _described(evidence, criterion, pictures=pictures, classes=classes)


def evidence_of_selection(folder: Path) -> Evidence | None:
    """The evidence of a folder of `limbeck select`; None if nothing says what was left out."""
    inside = folder / "selection"
    config = reading.json_file(folder / CONFIG_NAME, _MEND) or {}
    about = config.get("about") or {}
    criterion = _criterion(about.get("criterion"))
    mend = "`limbeck select` makes it again, in another folder."
    numbers = reading.json_file(inside / "summary.json", mend)
    try:
        summary = None if numbers is None else Summary.from_dict(numbers)
    except (TypeError, KeyError) as error:
        raise UserError(f"{inside / 'summary.json'} cannot be read ({error}). {mend}") from error
    evidence = (
        _numbers(inside / "table.parquet", criterion) if summary is None else Evidence(headline="", summary=summary)
    )
    if evidence is None:
        return None
    return _described(
        evidence,
        criterion,
        source=str(config.get("name") or ""),
        pictures=read_gallery(inside / "gallery.safetensors")[2],
        classes=[str(name) for name in config.get("classes") or ()],
        facts={key: str(about[key]) for key in ("budget", "seed") if about.get(key) is not None},
    )


def read_gallery(path: Path) -> tuple[list[str], str, list[Pictures]]:
    """Names of the classes, what the scores are, and the images at both ends of these; nothing without a file."""
    if not path.is_file():
        return [], "", []
    try:
        tensors, header = read_safetensors(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} cannot be read ({error}). {_MEND}") from error
    score, parts = header.get("score", "score"), ("images", "ids", "labels", "scores")
    groups = [
        Pictures(title=title.format(score), **{part: tensors.get(f"{group}.{part}") for part in parts})  # pyright: ignore[reportArgumentType]
        for group, title in _TITLES.items()
        if f"{group}.images" in tensors
    ]
    return json.loads(header.get("classes", "[]")), score, groups


def _numbers(path: Path, criterion: Criterion | None) -> Evidence | None:
    if not path.is_file():
        return None
    score = "score" if criterion is None else criterion.score
    try:
        file = pq.ParquetFile(path, pre_buffer=False)
        if "chosen" not in file.schema_arrow.names or not file.metadata.num_rows:
            raise UserError(f"{path} holds no selection: it must have rows and a column 'chosen'. {_MEND}")
        evidence = Evidence(headline="", rows=table_rows(path), score="" if score == "random" else score)
        return evidence.summarised()
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} cannot be read ({error}). {_MEND}") from error


def _criterion(spec: Any) -> Criterion | None:
    """The criterion of a name or of parts; None where this version does not know them."""
    try:
        return find_criterion(spec)
    except (UserError, TypeError):
        return None


def _described(found: Evidence | None, criterion: Criterion | None, *, source: str = "", **known: Any) -> Evidence:
    """The evidence described in words, as far as the criterion is known."""
    if found is None or found.summary is None:
        return Evidence(headline="", **known)
    if criterion is None:
        words: Mapping[str, Any] = {"score": found.score or "score"}
    elif criterion.score == "random":
        words = {"score": "", "notes": [_RANDOM]}
    else:
        summary = SCORES[criterion.score].summary if criterion.score in SCORES else ""
        notes = [f"The score, {criterion.score}: {summary}."] if summary else []
        words = {"score": criterion.score, "notes": notes}
    groups = {} if found.summary.groups is None else _groups(found.summary.groups, criterion)
    return replace(found, headline=_sentence(found.summary, criterion, source), **words, **groups, **known)


def _groups(shares: Shares, criterion: Criterion | None) -> dict[str, str]:
    """What groups are, and how they are ordered."""
    if criterion is None or not criterion.allocation.startswith("coverage"):
        return {"group": "cluster"}
    within = "class after class, " if ALLOCATIONS[criterion.allocation].per_class else ""
    hardest = left_out(criterion.option("cutoff"), sum(shares.sizes), sum(shares.chosen))
    cut = ", then those cut off as too hard" if hardest else ""
    return {"group": "stratum", "group_order": f"{within}lowest scores first{cut}"}


def _sentence(summary: Summary, criterion: Criterion | None, source: str) -> str:
    """What was chosen of how much, and how."""
    share = formats.percent(summary.chosen / summary.images)
    of_source = f" of {source}" if source else ""
    words = f"{formats.number(summary.chosen)} of {formats.plural(summary.images, 'image')}{of_source} ({share})"
    if criterion is None:
        return f"{words} were chosen"
    seen = "" if criterion.representation in ("", "none") else f" of {criterion.representation}"
    space = f" in {criterion.space}" if criterion.space else ""
    first = "in random order" if criterion.order == "random" else f"{criterion.order} first"
    name = "" if criterion.name == "custom" else f"{criterion.name}: "
    parts = f"{name}score {criterion.score}{seen}, allocation {criterion.allocation}{space}, {first}"
    return f"{words}, chosen by {parts}"
