"""The columns of a batch of made images, checked."""

import zlib
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from limbeck.data.storage import image_digests
from limbeck.errors import UserError
from limbeck.transfer.generate.rows import Columns, Layout, as_bytes


def columns_of(
    layout: Layout,
    images: Tensor,
    *,
    logits: Tensor,
    embedding: Tensor | None,
    losses: Mapping[str, Tensor | float],
    **notes: Tensor | int,
) -> Columns:
    """All columns of a batch, label and confidence by the logits; see `Repository.append`.

    Args:
        notes: round, call, wanted and view, [B] or one for all.

    Raises:
        UserError: other shapes or types, logits or embeddings that are not finite, or other losses.
    """
    if images.dtype != torch.uint8 or images.ndim != 4 or tuple(images.shape[1:]) != layout.shape:
        raise UserError(
            f"`images` must be uint8 [B, {', '.join(map(str, layout.shape))}], got {images.dtype} {list(images.shape)}."
        )
    if set(losses) != set(layout.losses):
        raise UserError(f"`losses` must be {', '.join(layout.losses) or 'none'}, got {', '.join(losses) or 'none'}.")
    pixels = images.detach().cpu().contiguous()
    checked = _floats("logits", logits, layout.num_classes, len(images))
    columns: Columns = {
        "images": pixels.numpy(),
        "digests": image_digests(pixels).numpy(),
        "notes": np.zeros(len(images), layout.columns["notes"].dtype),
        "logits": checked.numpy(),
        "embedding": _floats("embedding", embedding, layout.embedding, len(images)).numpy(),
    }
    by_teacher = {"label": checked.argmax(dim=1), "confidence": checked.softmax(dim=1).amax(dim=1)}
    for name, values in {**notes, **by_teacher, **{f"loss_{name}": loss for name, loss in losses.items()}}.items():
        columns["notes"][name] = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
    columns["notes"]["check"] = row_checks(columns)
    return columns


def row_checks(columns: Columns) -> np.ndarray:
    """uint32 [n]: a checksum of each row but for its pixels, which its digest stands for."""
    notes = columns["notes"].copy()
    notes["check"] = 0
    parts = (columns["digests"], notes, columns["logits"], columns["embedding"])
    rows = np.concatenate([as_bytes(np.ascontiguousarray(part)) for part in parts], axis=1)  # [n, bytes]
    return np.array([zlib.crc32(row.tobytes()) for row in rows], np.uint32)


def as_written(columns: Columns, layout: Layout) -> bool:
    """Whether rows that were read match their digests and checksums."""
    digests = image_digests(torch.from_numpy(columns["images"])).numpy()
    labels, checks = columns["notes"]["label"], columns["notes"]["check"]
    possible = bool(((labels >= 0) & (labels < layout.num_classes)).all())
    return possible and np.array_equal(digests, columns["digests"]) and np.array_equal(row_checks(columns), checks)


def _floats(name: str, values: Tensor | None, width: int, count: int) -> Tensor:
    floats = torch.empty(count, 0) if values is None else values.detach().float().cpu()
    if floats.shape != (count, width) or not bool(floats.isfinite().all()):
        raise UserError(f"`{name}` must be finite numbers [{count}, {width}], got {list(floats.shape)}.")
    return floats.contiguous()
