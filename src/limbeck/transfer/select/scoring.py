"""Scoring a whole image set, batch by batch, in memory that does not grow with it (but for the scores)."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from limbeck.errors import UserError
from limbeck.transfer.select.catalogue import Criterion
from limbeck.transfer.select.representations import REPRESENTATIONS
from limbeck.transfer.select.scores import SCORES, About

if TYPE_CHECKING:
    from limbeck.data import ImageSet

# A batch of half a million pixels stays in the cache; at least 64 images keep the decoding threads busy.
PIXELS_PER_BATCH, FEWEST_IMAGES = 2**19, 64
IDS_PER_BATCH = 2**20


def score_images(
    images: "ImageSet", criterion: Criterion, *, seed: int = 0, progress: Callable[[int], None] | None = None
) -> Tensor:
    """Score of every image, float64 `[N]` in the order in which the set stores them.

    Args:
        images: in memory or on disk; pixels are read once, and not at all where the criterion needs none.
        criterion: its representation and score count here.
        seed: for random scores.
        progress: called after every batch with the number of images in it.

    Raises:
        UserError: a score is not finite.
    """
    score = SCORES[criterion.score]
    scores = torch.empty(len(images), dtype=torch.float64)
    for positions, features in _features(images, REPRESENTATIONS[criterion.representation]):
        labels = None if images.labels is None else images.labels[positions]
        scores[positions] = score(features, About(images.ids[positions], labels, seed)).double()
        if progress is not None:
            progress(len(positions))
    broken = ~scores.isfinite()
    if broken.any():
        first = images.ids[broken][0].item()
        raise UserError(
            f"score {criterion.score!r} is not finite for {int(broken.sum())} of {len(images)} images of "
            f"{images.name!r} (first: id {first}); look at these images, or choose another criterion."
        )
    return scores


def _features(images: "ImageSet", represent: Callable[[Tensor], Tensor] | None) -> Iterator[tuple[Tensor, Tensor]]:
    """(positions int64 [B], features [B, D]); D = 0 without a representation."""
    if represent is None:
        for positions in torch.arange(len(images)).split(IDS_PER_BATCH):
            yield positions, torch.empty(len(positions), 0)
        return
    _, height, width = images.shape
    batch_size = max(FEWEST_IMAGES, PIXELS_PER_BATCH // (height * width))
    for positions, pixels in images.batches(batch_size):
        yield positions, represent(pixels)
