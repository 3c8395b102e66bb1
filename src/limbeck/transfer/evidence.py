"""What a maker tells of a transfer set, in a form that the report reads without knowing the maker.

A folder of evidence holds

    summary.json            sentences, facts, names, tables and charts: all numbers that a page shows
    pictures.safetensors    images to look at
    table.parquet           a row per image that was considered; only where there are rows
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, uint8

from limbeck.errors import UserError
from limbeck.files import atomic_folder
from limbeck.transfer.evidence_figures import EvidenceFigure, figure_of
from limbeck.transfer.summary import Rows, Summary, summarise

EVIDENCE, TABLE, PICTURES, NUMBERS = "evidence", "table.parquet", "pictures.safetensors", "summary.json"
COLUMNS = {
    "id": pa.int64(),
    "source": pa.string(),
    "label": pa.int64(),
    "score": pa.float64(),
    "chosen": pa.bool_(),
    "group": pa.int64(),
}
_FORMAT = 1
_WORDS = ("headline", "score", "group", "group_order", "facts", "notes", "classes")
_LATER = ("findings",)
"""Words that older folders lack."""
_GROUP_ROWS = 2**18  # of a row group of the table
_BATCH_ROWS = 2**18


@dataclass(frozen=True, kw_only=True, eq=False)
class Pictures:
    """Images to look at.

    Attributes:
        title: what they have in common.
        images: uint8 `[n, C, H, W]` with 1, 3 or 4 channels.
        ids: int64 `[n]`.
        labels: int64 `[n]`, or None.
        scores: float `[n]`, or None.
        captions: n of them, shown in place of the labels; or none.
    """

    title: str
    images: Tensor
    ids: Tensor
    labels: Tensor | None = None
    scores: Tensor | None = None
    captions: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """Why these images.

    Attributes:
        headline: what was made, of what, and how; a sentence without its full stop.
        rows: the images that were considered, where it is worth a table.
        summary: the same in numbers; of `rows`, where none is given.
        pictures: groups of images to look at.
        classes: names by label.
        score: what the scores are; "" where they tell nothing, as random ones do.
        group: what a group is, as "cluster", "stratum" or "round"; "" without any.
        group_order: how groups are ordered, as "lowest scores first"; "" where their numbers mean nothing, as those of
            clusters.
        facts: name -> value, for the head of a page.
        notes: sentences.
        findings: what the head of a page is to say, sentences without their full stops.
        figures: tables and charts of the maker's own.

    Example:
        >>> def rows():
        ...     yield {"id": images.ids.numpy(), "label": images.labels.numpy(), "chosen": images.ids.numpy() < 30}
        >>> Evidence(headline="The first few of the digits", rows=rows, classes=images.classes).save("evidence")
        >>> read_evidence("evidence").summary.images
        200
    """

    headline: str
    rows: Rows | None = None
    summary: Summary | None = None
    pictures: Sequence[Pictures] = ()
    classes: Sequence[str] = ()
    score: str = ""
    group: str = ""
    group_order: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    findings: Sequence[str] = ()
    figures: Sequence[EvidenceFigure] = ()

    def save(self, folder: str | Path) -> None:
        """Writes `folder`, whole or not at all and in place of an older one, in memory that does not grow with rows.

        Raises:
            UserError: it cannot be written.
        """
        with atomic_folder(folder, replace=True) as temporary:
            evidence = replace(self, rows=None)
            if self.rows is not None and _write_table(temporary / TABLE, self.rows):
                # Numbers are taken from the table, so that rows which take long to make are made once.
                evidence = replace(self, rows=table_rows(temporary / TABLE)).summarised()
            words = {name: getattr(self, name) for name in _WORDS} | {"facts": dict(self.facts)}
            words |= {"notes": list(self.notes), "classes": list(map(str, self.classes))}
            words |= {"findings": list(self.findings), "figures": [figure.to_dict() for figure in self.figures]}
            numbers = None if evidence.summary is None else evidence.summary.to_dict()
            content = {"format": _FORMAT, **words, "numbers": numbers}
            (temporary / NUMBERS).write_text(json.dumps(content, allow_nan=False) + "\n", "utf-8")
            self._save_pictures(temporary / PICTURES)

    def summarised(self) -> "Evidence":
        """With its numbers, as far as there are rows to count."""
        if self.summary is not None or self.rows is None:
            return self
        rows = self.rows

        def batches() -> Iterator[Mapping[str, NDArray[Any]]]:
            for batch in rows():
                yield batch if self.score else {name: batch[name] for name in batch if name != "score"}

        return replace(self, summary=summarise(batches))

    def _save_pictures(self, path: Path) -> None:
        tensors: dict[str, Tensor] = {}
        for place, group in enumerate(self.pictures):
            assert group.images.dtype == uint8
            assert group.images.ndim == 4
            parts = {"images": group.images, "ids": group.ids, "labels": group.labels, "scores": group.scores}
            present = {name: part for name, part in parts.items() if part is not None}
            # Clones, as tensors that share memory are refused.
            tensors |= {f"{place}.{name}": part.detach().cpu().contiguous().clone() for name, part in present.items()}
        titles = json.dumps([group.title for group in self.pictures])
        captions = {place: list(group.captions) for place, group in enumerate(self.pictures) if group.captions}
        about = {"titles": titles, "captions": json.dumps(captions), "classes": json.dumps(list(self.classes))}
        save_file(tensors, path, about | {"score": self.score})


def read_evidence(folder: str | Path, *, pictures: bool = True) -> Evidence | None:
    """What `Evidence.save` left in a folder; None where there is none. Of its table nothing is read before its rows.

    Args:
        folder: of evidence.
        pictures: whether to read these, too.

    Raises:
        UserError: it is broken, or of a later version.
    """
    folder = Path(folder)
    path = folder / NUMBERS
    if not path.is_file():
        return None
    mend = f"Delete {folder} to go without."
    try:
        content = json.loads(path.read_text("utf-8"))
        if content["format"] != _FORMAT:
            raise UserError(f"{path} must be of format {_FORMAT}, got {content['format']!r}; update limbeck. {mend}")
        words = {name: content[name] for name in _WORDS} | {name: content.get(name, []) for name in _LATER}
        figures = [figure_of(figure) for figure in content.get("figures", [])]
        numbers = content["numbers"] and Summary.from_dict(content["numbers"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} cannot be read ({error!r}). {mend}") from error
    rows = table_rows(folder / TABLE) if (folder / TABLE).is_file() else None
    shown = read_pictures(folder / PICTURES, mend) if pictures else ()
    return Evidence(rows=rows, summary=numbers, pictures=shown, figures=figures, **words)


def read_pictures(path: Path, mend: str) -> list[Pictures]:
    """Groups of images that `Evidence.save` left in a file; none where there is none.

    Args:
        path: the file.
        mend: what to do about a broken one, as a sentence.
    """
    if not path.is_file():
        return []
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            titles = json.loads(about["titles"])
            captions = json.loads(about.get("captions", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
            return [
                Pictures(
                    title=title,
                    images=tensors[f"{place}.images"],
                    ids=tensors[f"{place}.ids"],
                    labels=tensors.get(f"{place}.labels"),
                    scores=tensors.get(f"{place}.scores"),
                    captions=captions.get(str(place), ()),
                )
                for place, title in enumerate(titles)
            ]
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise UserError(f"{path} cannot be read ({error!r}). {mend}") from error


def table_rows(path: Path, columns: Sequence[str] = tuple(COLUMNS)) -> Rows:
    """Passes over a table of images; a column that lacks values is left out.

    Args:
        path: the Parquet file, of evidence or of a selection.
        columns: those wanted, as far as there are any.
    """

    def rows() -> Iterator[Mapping[str, NDArray[Any]]]:
        # Arrow's read-ahead would keep every row group that was read until the last.
        wanted = [name for name in columns if name in pq.read_schema(path).names]
        encoded = ["source"] if "source" in wanted else None
        file = pq.ParquetFile(path, pre_buffer=False, read_dictionary=encoded)
        yield from map(_Columns, file.iter_batches(_BATCH_ROWS, columns=wanted))

    return rows


class _Columns(Mapping[str, NDArray[Any]]):
    """The columns of a batch that lack no value, each made an array when it is asked for."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._known = {name: batch[name] for name in batch.schema.names if not batch[name].null_count}

    def __getitem__(self, name: str) -> NDArray[Any]:
        column = self._known[name]
        if pa.types.is_dictionary(column.type):
            return np.array(column.dictionary.to_pylist(), dtype=object)[column.indices.to_numpy()]
        return column.cast(COLUMNS[name]).to_numpy(zero_copy_only=False)

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


def _write_table(path: Path, rows: Rows) -> bool:
    """Whether there was a row to write, as a source that grows has none before its first round."""
    batches = filter(len, map(_record_batch, rows()))
    first = next(batches, None)
    if first is None:
        return False
    with pq.ParquetWriter(path, first.schema) as writer:
        waiting: list[pa.RecordBatch] = []
        for batch in chain([first], batches):
            waiting.append(batch)
            if sum(map(len, waiting)) >= _GROUP_ROWS:
                writer.write_table(pa.Table.from_batches(waiting))
                waiting = []
        if waiting:
            writer.write_table(pa.Table.from_batches(waiting))
    return True


def _record_batch(columns: Mapping[str, NDArray[Any]]) -> pa.RecordBatch:
    kinds = {name: kind for name, kind in COLUMNS.items() if name in columns}
    arrays = [pa.array(np.ascontiguousarray(columns[name]), kind) for name, kind in kinds.items()]
    return pa.record_batch(arrays, schema=pa.schema(list(kinds.items())))
