"""What a maker tells about a transfer set, in a form that the report can read without knowing the maker.

A folder of evidence holds

    summary.json            sentences, facts, names, tables and charts: all the numbers that a page shows
    pictures.safetensors    images to look at
    table.parquet           a row per image that was considered; only if there are rows
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
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, uint8

from limbeck.errors import UserError
from limbeck.files import atomic_folder
from limbeck.tensor_files import read_safetensors
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
"""Entries that older folders lack."""
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
        captions: n texts to show in place of the labels; or none.
    """

    title: str
    images: Tensor
    ids: Tensor
    labels: Tensor | None = None
    scores: Tensor | None = None
    captions: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """Why these images make the transfer set.

    Attributes:
        headline: what was made, from what, and how; a sentence without its full stop.
        rows: the images that were considered, if they are to be kept as a table.
        summary: the same in numbers; computed from `rows` where none is given.
        pictures: groups of images to look at.
        classes: names by label.
        score: what the scores are; "" where they mean nothing, such as random ones.
        group: what a group is, such as "cluster", "stratum" or "round"; "" without groups.
        group_order: how groups are ordered, such as "lowest scores first"; "" where their numbers mean nothing, such as
            those of clusters.
        facts: name -> value, for the top of a page.
        notes: sentences.
        findings: sentences for the top of a page, without their full stops.
        figures: the maker's own tables and charts.

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
        """Writes `folder`, whole or not at all, replacing an older one, in memory that does not grow with the rows.

        Raises:
            UserError: the folder cannot be written.
        """
        with atomic_folder(folder, replace=True) as temporary:
            evidence = replace(self, rows=None)
            if self.rows is not None and _write_table(temporary / TABLE, self.rows):
                # Summarise the table, not `rows`, which may take long to produce: so they are produced once.
                evidence = replace(self, rows=table_rows(temporary / TABLE)).summarised()
            words = {name: getattr(self, name) for name in _WORDS} | {"facts": dict(self.facts)}
            words |= {"notes": list(self.notes), "classes": list(map(str, self.classes))}
            words |= {"findings": list(self.findings), "figures": [figure.to_dict() for figure in self.figures]}
            numbers = None if evidence.summary is None else evidence.summary.to_dict()
            content = {"format": _FORMAT, **words, "numbers": numbers}
            (temporary / NUMBERS).write_text(json.dumps(content, allow_nan=False) + "\n", "utf-8")
            self._save_pictures(temporary / PICTURES)

    def summarised(self) -> "Evidence":
        """The same evidence with its summary, if there are rows to count."""
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
            # safetensors refuses tensors that share memory, hence the clones.
            tensors |= {f"{place}.{name}": part.detach().cpu().contiguous().clone() for name, part in present.items()}
        titles = json.dumps([group.title for group in self.pictures])
        captions = {place: list(group.captions) for place, group in enumerate(self.pictures) if group.captions}
        about = {"titles": titles, "captions": json.dumps(captions), "classes": json.dumps(list(self.classes))}
        save_file(tensors, path, about | {"score": self.score})


def read_evidence(folder: str | Path, *, pictures: bool = True) -> Evidence | None:
    """Loads what `Evidence.save` wrote; None where there is nothing. The table is read only when its rows are.

    Args:
        folder: of evidence.
        pictures: whether to read the pictures, too.

    Raises:
        UserError: the evidence is broken, or from a later version.
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
    """Groups of images that `Evidence.save` wrote to a file; an empty list if there is no file.

    Args:
        path: the file.
        mend: what to do about a broken file, as a sentence for the error.
    """
    if not path.is_file():
        return []
    try:
        tensors, about = read_safetensors(path)
        titles = json.loads(about["titles"])
        captions = json.loads(about.get("captions", "{}"))
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
    """Reads a table of images batch by batch; a column with missing values is left out of its batch.

    Args:
        path: the Parquet file, of evidence or of a selection.
        columns: names to read, if the table has them.
    """

    def rows() -> Iterator[Mapping[str, NDArray[Any]]]:
        # Arrow's read-ahead would keep every row group that was read until the last.
        wanted = [name for name in columns if name in pq.read_schema(path).names]
        encoded = ["source"] if "source" in wanted else None
        file = pq.ParquetFile(path, pre_buffer=False, read_dictionary=encoded)
        yield from map(_Columns, file.iter_batches(_BATCH_ROWS, columns=wanted))

    return rows


class _Columns(Mapping[str, NDArray[Any]]):
    """The columns of a batch that have no missing values, each converted to an array on access."""

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
    """Writes all rows; False if there are none, as for a source that grows before its first round."""
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
