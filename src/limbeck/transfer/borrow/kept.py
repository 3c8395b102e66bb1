"""Saving and loading the images that a run borrowed: by provenance, without their pixels."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from limbeck.data.transfer_set import TransferSet
from limbeck.data.transfer_set_rows import Column
from limbeck.errors import UserError
from limbeck.files import atomic_path, disk_errors
from limbeck.transfer.borrow.pools import Pool
from limbeck.transfer.borrow.transfer_set import images_of
from limbeck.transfer.score_table.read import METADATA

CHOSEN = "chosen.parquet"
"""File in the maker's folder with the chosen images."""


def save_borrowed(folder: Path, made: TransferSet) -> None:
    """Saves a row for each image: its id and its provenance."""
    columns = {"id": made.images.ids, **made.provenance}
    arrays = {name: column.numpy() if isinstance(column, Tensor) else list(column) for name, column in columns.items()}
    about = {"about": dict(made.about)}
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / CHOSEN) as temporary:
        pq.write_table(pa.table(arrays).replace_schema_metadata({METADATA: json.dumps(about)}), temporary)


def load_borrowed(folder: Path, pools: Sequence[Pool], classes: Sequence[str]) -> TransferSet:
    """Loads the same images from the pools.

    Raises:
        UserError: there is nothing to load, it is damaged, or the pools hold other images than before.
    """
    path = folder / CHOSEN
    mend = f"remove the folder {str(folder)!r}, so that it is made again."
    if not path.is_file():
        raise UserError(f"there is no {str(path)!r}, the images that were chosen; {mend}")
    try:
        table = pq.read_table(path)
        about = dict(json.loads((table.schema.metadata or {})[METADATA])["about"])
        ids = torch.from_numpy(table["id"].to_numpy().copy())
        columns = {name: _column(table[name]) for name in table.column_names if name != "id"}
        sources, source_ids = (
            table["source"].to_pylist(),
            table["source_id"].to_numpy().copy(),
        )  # Arrow's memory is read-only
        copies = table["copy"].to_numpy().copy() if "copy" in columns else np.zeros_like(source_ids)
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
        raise UserError(f"{str(path)!r} is damaged ({error}); {mend}") from error
    if unknown := set(sources) - {pool.name for pool in pools}:
        raise UserError(f"{str(path)!r} names the pool {min(unknown)!r}, and there is none of that name; {mend}")
    try:
        images = images_of(pools, sources, source_ids, copies, classes)
    except UserError as error:
        raise UserError(f"{str(path)!r} names images that its pool has no more ({error}); {mend}") from None
    if not torch.equal(images.ids, ids):
        other = sources[int((images.ids != ids).nonzero()[0])]
        raise UserError(
            f"{str(path)!r} was chosen when the pool {other!r} held other images than now; bring them back, or {mend}"
        )
    return TransferSet(images, provenance=columns, about=about)


def _column(column: pa.ChunkedArray) -> Column:
    if column.null_count or not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        return column.to_pylist()
    return torch.from_numpy(column.to_numpy().copy())  # Arrow's memory is read-only
