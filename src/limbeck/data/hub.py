"""Datasets from the Hugging Face hub, through `datasets`, which keeps them as memory-mapped Arrow files."""

from typing import Any

from limbeck.data.catalogue import CONVERTED
from limbeck.data.encoded.images import named_files
from limbeck.data.labels import LabelColumn
from limbeck.data.tables import ImageTable, stated_names
from limbeck.errors import UserError


def open_hub(
    hub_id: str, config: str | None, split: str, *, revision: str | None = None, looked: str = ""
) -> ImageTable:
    """One split of a dataset on the hub; downloaded the first time.

    Args:
        hub_id: "owner/name".
        config: configuration, None for the only one.
        split: name of the split at the hub.
        revision: branch, None for the default.
        looked: where it was looked for before, for the message.

    Raises:
        UserError: no such dataset, configuration or split, or no connection.
    """
    import datasets
    from datasets.exceptions import DatasetsError

    try:
        if revision == CONVERTED:
            # That branch has no card to name its configurations; they are its folders.
            files = {split: f"{config}/{split}/*.parquet"}
            splits = datasets.load_dataset(hub_id, revision=revision, data_files=files)
        else:
            splits = datasets.load_dataset(hub_id, config, revision=revision)
    except (OSError, ValueError, RuntimeError, DatasetsError) as error:
        raise cannot_open(hub_id, config, split, looked, error) from error
    if split not in splits:
        raise UserError(f"`split` of {hub_id!r} must be {' or '.join(map(repr, splits))}, got {split!r}.")
    chosen = splits[split]
    arrow = chosen.data.table
    return ImageTable(
        schema=arrow.schema,
        features=dict(chosen.features.to_dict()),
        count=arrow.num_rows,
        read=lambda column: arrow[column],
        labels=lambda column: [_labels(hub_id, split, chosen, column)],
        other_labels=lambda column: [
            _labels(hub_id, str(name), rows, column)
            for name, rows in splits.items()
            if name != split and column in rows.column_names
        ],
        where=f"split {split!r} of {hub_id!r}",
        # The fingerprint of `datasets` covers the files that the data set was made from.
        stamp=[hub_id, split, chosen._fingerprint],
        files=lambda column: named_files(arrow[column]),
    )


def cannot_open(hub_id: str, config: str | None, split: str, looked: str, error: Exception) -> UserError:
    """The error for a repository that does not exist or cannot be reached."""
    full_name = f"{hub_id}:{config}" if config else hub_id
    return UserError(
        f"dataset {full_name!r} could not be opened. {looked}The hub said: {error}. Check the name and the "
        "connection (a gated set needs `hf auth login`), or put its Parquet files under a local root as "
        f"<root>/{hub_id}/{config or 'data'}/{split}-00000-of-00001.parquet and name that root in LIMBECK_DATA "
        "or `root=`."
    )


def _labels(hub_id: str, split: str, rows: Any, column: str) -> LabelColumn:
    names = stated_names(rows.features.to_dict(), column)
    return LabelColumn(rows.data.table[column], f"labels in column {column!r} of split {split!r} of {hub_id!r}", names)
