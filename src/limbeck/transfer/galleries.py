"""The images at both ends of what was chosen and what was rejected, for the eye."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file
from torch import Tensor

from limbeck.errors import UserError
from limbeck.files import atomic_path
from limbeck.transfer.allocation import rank
from limbeck.transfer.select.selection import Selection

if TYPE_CHECKING:
    from limbeck.data import ImageSet

GROUPS = ("chosen_highest", "chosen_lowest", "rejected_highest", "rejected_lowest")


def gallery(images: "ImageSet", selection: Selection, per_group: int = 12) -> dict[str, Tensor]:
    """Up to `per_group` images of each of `GROUPS`, the most extreme first.

    Args:
        images: the set that was selected from.
        selection: made from `images`.
        per_group: at least 1.

    Returns:
        For every group "<group>.images" uint8 `[n, C, H, W]`, "<group>.ids" int64 `[n]`, "<group>.scores" float32
        `[n]`, and "<group>.labels" int64 `[n]` if labelled; n is 0 where nothing was rejected.

    Raises:
        UserError: `per_group` below 1, or `images` lacks images of the selection.

    Example:
        >>> shown = gallery(images, lb.select(images, criterion="variance", budget=20), per_group=3)
        >>> shown["chosen_highest.images"].shape
        torch.Size([3, 1, 8, 8])
    """
    if per_group < 1:
        raise UserError(f"`per_group` must be >= 1, got {per_group}.")
    tensors: dict[str, Tensor] = {}
    for group in GROUPS:
        fate, end = group.split("_")
        among = selection.chosen if fate == "chosen" else ~selection.chosen
        ranking = rank(selection.scores, selection.all_ids, "highest" if end == "highest" else "lowest")
        rows = ranking[among[ranking]][:per_group]
        ids = selection.all_ids[rows]
        tensors[f"{group}.ids"] = ids
        tensors[f"{group}.scores"] = selection.scores[rows].float()
        tensors[f"{group}.images"] = _pixels(images, ids)
        if selection.labels is not None:
            tensors[f"{group}.labels"] = selection.labels[rows]
    return tensors


def save_gallery(path: str | Path, images: "ImageSet", selection: Selection, per_group: int = 12) -> None:
    """Write `gallery` as safetensors; its metadata hold the class names (JSON) and the name of the score.

    Example:
        >>> save_gallery("gallery.safetensors", images, lb.select(images, criterion="variance", budget=20))
    """
    metadata = {"classes": json.dumps(list(images.classes)), "score": selection.criterion.score}
    with atomic_path(path) as temporary:
        save_file(gallery(images, selection, per_group), temporary, metadata=metadata)


def _pixels(images: "ImageSet", ids: Tensor) -> Tensor:
    if len(ids) == 0:
        return torch.empty(0, *images.shape, dtype=torch.uint8)
    return images.gather(images.positions(ids)).contiguous()
