"""Rows of a transfer set as Arrow tables: images as PNG, labels, ids, soft labels and provenance."""

import io
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch
from PIL import Image
from torch import Tensor

from limbeck.data.card import features
from limbeck.errors import UserError

if TYPE_CHECKING:
    from limbeck.data.transfer_set import TransferSet

Column = Sequence[Any] | Tensor


def column_rows(column: Column, rows: Tensor) -> Column:
    """The values of a column at `rows`, int64 [n], in that order."""
    return column[rows] if isinstance(column, Tensor) else [column[row] for row in rows.tolist()]


def schema_of(transfer_set: "TransferSet") -> pa.Schema:
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    fields = [("image", image), ("id", pa.int64())]
    if transfer_set.images.labels is not None:
        fields.append(("label", pa.int64()))
    if transfer_set.soft_labels is not None:
        fields.append(("soft_label", pa.list_(pa.float32())))
    fields += [(name, _arrow_column(name, values).type) for name, values in transfer_set.provenance.items()]
    stored = json.dumps({"info": {"features": features_of(transfer_set)}})
    return pa.schema(fields, metadata={"huggingface": stored})


def rows_of(transfer_set: "TransferSet", positions: Tensor, images: Tensor, schema: pa.Schema) -> pa.Table:
    start, stop = int(positions[0]), int(positions[-1]) + 1
    columns: dict[str, Any] = {
        "image": [{"bytes": _png(image), "path": None} for image in images],
        "id": transfer_set.images.ids[start:stop].numpy(),
    }
    if transfer_set.images.labels is not None:
        columns["label"] = transfer_set.images.labels[start:stop].numpy()
    if transfer_set.soft_labels is not None:
        columns["soft_label"] = list(transfer_set.soft_labels[start:stop].detach().float().cpu().numpy())
    for name, values in transfer_set.provenance.items():
        columns[name] = _arrow_column(name, values[start:stop], schema.field(name).type)
    return pa.table(columns, schema=schema)


def features_of(transfer_set: "TransferSet") -> dict[str, Any]:
    images = transfer_set.images
    types = {name: str(_arrow_column(name, values).type) for name, values in transfer_set.provenance.items()}
    classes = images.classes if images.labels is not None else None
    return features(classes=classes, soft_labels=transfer_set.soft_labels is not None, provenance=types)


def restored(column: pa.ChunkedArray, kind: str) -> Column:
    return column.to_pylist() if kind == "list" else torch.from_numpy(column.to_numpy().copy())


def stacked(column: pa.ChunkedArray) -> Tensor:
    rows = column.combine_chunks()
    return torch.from_numpy(rows.flatten().to_numpy().reshape(len(rows), -1).copy())


def _arrow_column(name: str, values: Column, kind: pa.DataType | None = None) -> pa.Array:
    plain = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
    try:
        array = pa.array(plain, type=kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise UserError(f"`provenance[{name!r}]` must be strings or numbers of one kind: {error}.") from error
    if pa.types.is_nested(array.type):
        raise UserError(f"`provenance[{name!r}]` must be strings or numbers of one kind, got {array.type}.")
    return array.cast(pa.string()) if pa.types.is_null(array.type) else array


def _png(image: Tensor) -> bytes:
    pixels = image.permute(1, 2, 0).numpy()
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)).save(buffer, "png")
    return buffer.getvalue()
