"""What a selection leaves in the folder of its transfer set for the report, where it cannot be taken for data."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from limbeck.files import atomic_write_text
from limbeck.transfer.galleries import save_gallery
from limbeck.transfer.score_table.choose import TableSelection
from limbeck.transfer.select.selection import Selection

if TYPE_CHECKING:
    from limbeck.data import ImageSet

DETAILS = "selection"
TABLE, PICTURES, NUMBERS = f"{DETAILS}/table.parquet", f"{DETAILS}/gallery.safetensors", f"{DETAILS}/summary.json"
_ENDS = 12


def save_details(folder: str | Path, images: "ImageSet", selection: Selection | TableSelection) -> None:
    """Writes images at both ends of the scores, and a row per image; of a table of scores, numbers instead of rows.

    Args:
        folder: of the transfer set.
        images: the set that was selected from.
        selection: from them.
    """
    folder = Path(folder)
    if isinstance(selection, Selection):
        selection.to_parquet(folder / TABLE)
        save_gallery(folder / PICTURES, images, selection, _ENDS)
    else:
        atomic_write_text(folder / NUMBERS, json.dumps(selection.summary().to_dict()) + "\n")
        save_gallery(folder / PICTURES, images, _both_ends(selection), _ENDS)


def _both_ends(selection: TableSelection) -> Selection:
    """The images that may be among the first of a gallery, as a selection of their own."""
    parts = [{name: column[rows] for name, column in batch.items()} for batch, rows in _candidates(selection)]
    columns = {name: torch.from_numpy(np.concatenate([part[name] for part in parts])) for name in parts[0]}
    return Selection(
        positions=columns["chosen"].nonzero().flatten(),
        all_ids=columns["id"],
        labels=columns.get("label"),
        scores=columns["score"],
        criterion=selection.criterion,
        budget=selection.budget,
        seed=selection.seed,
        source=selection.table.name,
    )


def _candidates(selection: TableSelection) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
    """Batches of the table with the rows of the extreme scores of the chosen and of the others."""
    for batch in selection.rows():
        found = []
        for among in (batch["chosen"], ~batch["chosen"]):
            rows = among.nonzero()[0]
            if len(rows) > 2 * _ENDS:
                order = np.argpartition(batch["score"][rows], [_ENDS - 1, len(rows) - _ENDS])
                rows = rows[np.concatenate([order[:_ENDS], order[-_ENDS:]])]
            found.append(rows)
        yield batch, np.concatenate(found)
