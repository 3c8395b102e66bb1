"""The section that shows what a selection chose and what it left out: scores, classes, clusters, images."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from limbeck.errors import UserError
from limbeck.report import formats
from limbeck.report.blocks import Block, Gallery, Note, Section
from limbeck.report.transfer_set.balance import class_blocks, group_blocks
from limbeck.report.transfer_set.pictures import Picture
from limbeck.report.transfer_set.scores import score_blocks
from limbeck.transfer.criteria import Criterion
from limbeck.transfer.summary import Rows, Summary, summarise

_ROWS = 2**20
_KINDS = {"label": np.int64, "group": np.int64, "score": np.float64, "chosen": np.bool_}


def read_summary(path: Path, criterion: Criterion | None) -> Summary | None:
    """The numbers of a table of id, label, score, chosen and group; None where there is no table.

    Args:
        path: a Parquet file that `Selection.to_parquet` wrote.
        criterion: how it was chosen, where that is known; random scores are not looked at.

    Raises:
        UserError: it is broken.
    """
    if not path.is_file():
        return None
    mend = "Delete it and report again to go without."
    try:
        # Arrow's read-ahead would keep every row group that was read until the last.
        file = pq.ParquetFile(path, pre_buffer=False)
        columns = [name for name in _KINDS if name in file.schema_arrow.names]
        if "chosen" not in columns or not file.metadata.num_rows:
            raise UserError(f"{path} holds no selection: it must have rows and a column 'chosen'. {mend}")
        if criterion is not None and criterion.score == "random":
            columns = [name for name in columns if name != "score"]
        return summarise(_rows(file, columns))
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} cannot be read ({error}). {mend}") from error


def _rows(file: pq.ParquetFile, columns: list[str]) -> Rows:
    def rows() -> Iterator[dict[str, Any]]:
        for batch in file.iter_batches(_ROWS, columns=columns):
            known = [name for name in columns if not batch[name].null_count]
            yield {name: batch[name].to_numpy(zero_copy_only=False).astype(_KINDS[name], copy=False) for name in known}

    return rows


def chosen_section(
    summary: Summary | None,
    criterion: Criterion | None,
    classes: Sequence[str],
    pictures: Sequence[tuple[str, Sequence[Picture]]],
    *,
    opening: bool = True,
) -> Section | None:
    """Scores, classes, clusters and images at both ends, as far as they are known; None where nothing is.

    Args:
        summary: of the selection.
        criterion: how it was chosen.
        classes: names by number; numbers stand in for those that lack one.
        pictures: groups of them, as `gallery` gives them.
        opening: whether to begin with how much was chosen, and how.
    """
    blocks: list[Block] = []
    if summary is not None:
        blocks += [Note(f"{sentence(summary, criterion)}.")] if opening else []
        blocks += score_blocks(summary, criterion, classes)
        blocks += class_blocks(summary.classes, classes) if summary.classes is not None else []
        blocks += group_blocks(summary.groups, criterion) if summary.groups is not None else []
    if pictures:
        blocks.append(Gallery("Images at both ends of the score", pictures, open=True))
    return Section("chosen", "Chosen and left out", blocks) if blocks else None


def sentence(summary: Summary, criterion: Criterion | None, source: str = "") -> str:
    """What was chosen of how much, and how."""
    share = formats.percent(summary.chosen / summary.images)
    of = f" of {source}" if source else ""
    words = f"{formats.number(summary.chosen)} of {formats.plural(summary.images, 'image')}{of} ({share})"
    return f"{words} were chosen" if criterion is None else f"{words}, chosen by {described(criterion)}"


def described(criterion: Criterion) -> str:
    """Name and parts of a criterion in words.

    Example:
        >>> described(lb.transfer.select.find_criterion("entropy"))
        'entropy: score entropy of grayscale-histogram, allocation top-n-per-class, highest first'
    """
    seen = "" if criterion.representation in ("", "none") else f" of {criterion.representation}"
    space = f" in {criterion.space}" if criterion.space else ""
    first = "in random order" if criterion.order == "random" else f"{criterion.order} first"
    name = "" if criterion.name == "custom" else f"{criterion.name}: "
    return f"{name}score {criterion.score}{seen}, allocation {criterion.allocation}{space}, {first}"
