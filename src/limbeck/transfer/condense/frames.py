"""Frames: some of the synthetic images as they were after some iterations, kept on disk for the report."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from limbeck.errors import UserError
from limbeck.files import atomic_path
from limbeck.tensor_files import read_safetensors

FRAMES = "frames"
"""Folder in the maker's folder."""
MOST, SIDE = 40, 112
"""Most images of a frame, and most pixels of their longer side: a page shows no more."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """The state of the images after some iterations.

    Attributes:
        iteration: how many iterations had been done.
        images: uint8 `[n, C, h, w]`, at most 40, the same ones in every frame.
        rows: int64 `[n]`, their rows in the set.
        labels: int64 `[n]`.
        maps: float `[n, h, w]` in [0, 1], where a network sees the class; None without a mask.
        accuracy: on validation images, of fresh networks taught on the images, 0 to 1; None where they were not judged.
    """

    iteration: int
    images: Tensor
    rows: Tensor
    labels: Tensor
    maps: Tensor | None = None
    accuracy: float | None = None


def shown_rows(labels: Tensor, most: int = MOST) -> Tensor:
    """Rows of the images that frames show: the first of each class, then the second, and so on, sorted by class.

    Args:
        labels: int64 `[N]`.
        most: limit; of more classes than that, evenly spread ones are shown.

    Returns:
        int64 `[n]`.

    Example:
        >>> shown_rows(torch.tensor([0, 0, 0, 1, 1, 1]), most=4)
        tensor([0, 1, 3, 4])
    """
    rank = torch.zeros_like(labels)
    for label in labels.unique():
        members = labels == label
        rank[members] = torch.arange(int(members.sum()), device=labels.device)
    first = (rank == 0).nonzero().flatten()
    if len(first) > most:
        first = first[labels[first].argsort(stable=True)]
        return first[torch.linspace(0, len(first) - 1, most).round().long()]
    chosen = (rank * (int(labels.max()) + 1) + labels).argsort(stable=True)[:most]
    return chosen[(labels[chosen] * len(labels) + chosen).argsort()]


def frame_of(
    iteration: int,
    images: Tensor,
    labels: Tensor,
    *,
    maps: Tensor | None = None,
    accuracy: float | None = None,
) -> Frame:
    """The frame of a whole set.

    Args:
        iteration: how many iterations have been done.
        images: `[N, C, H, W]`, uint8, or floats from 0 (black) to 1 (white), others being clipped.
        labels: int64 `[N]`.
        maps: float `[N, H, W]` in [0, 1], or None.
        accuracy: see `Frame`.

    Example:
        >>> frame_of(0, torch.rand(20, 3, 32, 32), torch.arange(20) // 2).images.shape
        torch.Size([20, 3, 32, 32])
    """
    rows = shown_rows(labels.cpu())
    chosen = images.detach()[rows.to(images.device)].cpu()
    if chosen.is_floating_point():
        chosen = (chosen.float().clamp(0, 1) * 255).round().to(torch.uint8)
    shown_maps = None
    if maps is not None:
        shown_maps = _smaller(maps.detach()[rows.to(maps.device)].float().cpu()[:, None])[:, 0].clamp(0, 1)
    pixels = _smaller(chosen.float()).round().clamp(0, 255).to(torch.uint8)
    return Frame(
        iteration=iteration, images=pixels, rows=rows, labels=labels.cpu()[rows], maps=shown_maps, accuracy=accuracy
    )


def save_frame(folder: Path, frame: Frame) -> None:
    """Writes a frame into a maker's folder; replaces one of the same iteration.

    Raises:
        UserError: it cannot be written.
    """
    maps = {} if frame.maps is None else {"maps": (frame.maps * 255).round().to(torch.uint8)}
    tensors = {"images": frame.images, "rows": frame.rows, "labels": frame.labels, **maps}
    metadata = {"iteration": str(frame.iteration), "accuracy": json.dumps(frame.accuracy)}
    path = folder / FRAMES / f"{frame.iteration:06d}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, temporary, metadata)


def read_frames(folder: Path) -> list[Frame]:
    """The frames of a maker's folder, in order.

    Args:
        folder: of the maker.

    Raises:
        UserError: one is damaged.
    """
    return sorted((_read(path) for path in (folder / FRAMES).glob("*.safetensors")), key=_iteration)


def at_most(frames: Sequence[Frame], most: int) -> list[Frame]:
    """At most `most` frames: first, last, and some evenly between.

    Example:
        >>> images, labels = torch.rand(2, 3, 8, 8), torch.tensor([0, 1])
        >>> [one.iteration for one in at_most([frame_of(count, images, labels) for count in range(9)], 3)]
        [0, 4, 8]
    """
    if len(frames) <= most:
        return list(frames)
    return [frames[round(index * (len(frames) - 1) / (most - 1))] for index in range(most)]


def _iteration(frame: Frame) -> int:
    return frame.iteration


def _read(path: Path) -> Frame:
    try:
        tensors, metadata = read_safetensors(path)
        maps = tensors.get("maps")
        return Frame(
            iteration=int(metadata["iteration"]),
            images=tensors["images"],
            rows=tensors["rows"],
            labels=tensors["labels"],
            maps=None if maps is None else maps.float() / 255,
            accuracy=json.loads(metadata["accuracy"]),
        )
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise UserError(f"{str(path)!r} is damaged ({error}); delete it, and the report goes without.") from error


def _smaller(images: Tensor) -> Tensor:
    """Images float `[n, C, h, w]`, shrunk to a longer side of at most `SIDE` pixels."""
    side = max(images.shape[2:])
    if side <= SIDE:
        return images
    size = [max(1, round(length * SIDE / side)) for length in images.shape[2:]]
    return functional.interpolate(images, size, mode="bilinear", antialias=True)
