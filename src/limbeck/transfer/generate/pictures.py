"""Made images to look at, round by round, which shows how they developed."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from limbeck.transfer.evidence import Pictures
from limbeck.transfer.generate.held import Held, spread

MOST_ROUNDS, EACH = 5, 24
_SIDE = 112  # pixels at most; a page shows no more


def grids(held: Held, classes: Sequence[str]) -> list[Pictures]:
    """Some images of the first round of which any are left, of the last and of some between, sorted by class, with the
    teacher's confidence.

    They are chosen by position alone, and are neither the surest nor the best.

    Args:
        held: the images.
        classes: names of the teacher's classes.
    """
    if not len(held):
        return []
    rows, rounds = held.rows, held.column("round")
    numbers = rounds.unique()
    shown = numbers[torch.linspace(0, len(numbers) - 1, min(len(numbers), MOST_ROUNDS)).round().long()]
    return [_grid(held, int(number), rows[rounds == number], classes) for number in shown]


def _grid(held: Held, number: int, own: Tensor, classes: Sequence[str]) -> Pictures:
    rows = spread(own, held.column("label", own), EACH)
    labels, wanted, confidence = (held.column(name, rows) for name in ("label", "wanted", "confidence"))
    order = labels.argsort(stable=True)
    captions = [_caption(classes, int(labels[place]), int(wanted[place])) for place in order]
    how_many = "all" if len(rows) == len(own) else f"{len(rows)} of"
    return Pictures(
        title=f"Round {number + 1}: {how_many} {len(own):,} images that are left",
        images=_smaller(held.column("images", rows))[order],
        ids=held.column("id", rows)[order],
        labels=labels[order],
        scores=confidence[order],
        captions=captions,
    )


def _caption(classes: Sequence[str], label: int, wanted: int) -> str:
    """What the teacher says, and what was wanted where that is something else."""
    return classes[label] if wanted in (label, -1) else f"{classes[label]} ({classes[wanted]} wanted)"


def _smaller(images: Tensor) -> Tensor:
    """Images uint8 `[n, C, h, w]`, large ones reduced to what a page has room for."""
    side = max(images.shape[2:])
    if side <= _SIDE:
        return images
    size = [max(1, round(length * _SIDE / side)) for length in images.shape[2:]]
    return functional.interpolate(images.float(), size, mode="area").round().to(torch.uint8)
