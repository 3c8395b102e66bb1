"""The stream of training batches, each a pure function of the step.

The transfer set is shown in a new random order again and again, without a gap between passes: every batch is full,
whatever the sizes, and a run can start at any step. An image's view number is how often it was shown before.
"""

import math
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from limbeck.data.image_set import ImageSet
from limbeck.data.soft_targets import SoftTargets
from limbeck.data.views import Augmentation
from limbeck.randomness import derive_seed, generator

RESIDENT_BYTES = 4 * 2**30
"""Larger sets are gathered, and decoded if need be, batch by batch."""


class Batch(NamedTuple):
    """`images` uint8 [B, C, H, W] augmented, `labels` int64 [B] or None, `ids` int64 [B], `teacher_logits` [B, K]
    where soft labels stand in for a teacher."""

    images: Tensor
    labels: Tensor | None
    ids: Tensor
    teacher_logits: Tensor | None


class BatchStream:
    """Batches of a transfer set by step.

    Args:
        images: the transfer set.
        augmentation: applied to whole batches on `device`.
        batch_size: images a step over all processes; must divide by `processes`.
        seed: of order and views.
        device: where batches are made and, up to `RESIDENT_BYTES`, where the images live.
        soft_labels: [N, K] aligned with `images`, in place of a teacher, or None.
        channels_last: memory order of the batches' images, which networks keep.
        process, processes: which equal share of each batch this process gets.
    """

    def __init__(
        self,
        images: ImageSet,
        *,
        augmentation: Augmentation,
        batch_size: int,
        seed: int,
        device: torch.device,
        soft_labels: SoftTargets | None = None,
        channels_last: bool = True,
        process: int = 0,
        processes: int = 1,
    ) -> None:
        self.images = images
        self.augmentation = augmentation
        self.batch_size = batch_size
        self.seed = seed
        self.view_seed = derive_seed(seed, "views")
        self.device = device
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.share = slice(process * batch_size // processes, (process + 1) * batch_size // processes)
        self.ids = images.ids.to(device)
        self.labels = None if images.labels is None else images.labels.to(device)
        self.teacher_logits = None if soft_labels is None else soft_labels.teacher_logits().to(device)
        # Pixels in [N, H, W, C] order: whole rows of memory move, and batches come out channels-last.
        fits = len(images) * math.prod(images.shape) <= RESIDENT_BYTES
        self.pixels = images.tensor().to(device).permute(0, 2, 3, 1).contiguous() if fits else None
        self._orders: dict[int, Tensor] = {}

    def __getitem__(self, step: int) -> Batch:
        positions, view = self._shown(step)
        positions_here, view = positions.to(self.device), view.to(self.device)
        if self.pixels is None:
            raw = self.images.gather(positions).to(self.device)
        else:
            raw = self.pixels.index_select(0, positions_here).permute(0, 3, 1, 2)
        ids = self.ids[positions_here]
        shown = self.augmentation(raw, ids, seed=self.view_seed, view=view)
        return Batch(
            images=shown.contiguous(memory_format=self.memory_format),
            labels=None if self.labels is None else self.labels[positions_here],
            ids=ids,
            teacher_logits=None if self.teacher_logits is None else self.teacher_logits[positions_here],
        )

    def entries(self, step: int) -> Tensor:
        """Which of all views of all images of the whole set the batch shows, int64 [B] on the CPU.

        Image i of the set that this one is a part of has the numbers i x `distinct` and following.
        """
        assert self.augmentation.distinct is not None
        positions, view = self._shown(step)
        draw = self.augmentation.draw(self.images.ids[positions], seed=self.view_seed, view=view)
        return self.places[positions] * self.augmentation.distinct + draw

    @cached_property
    def places(self) -> Tensor:
        """Where in the whole set each image of this part of it is, int64 [N]."""
        return self.images.origin[1]

    def _shown(self, step: int) -> tuple[Tensor, Tensor]:
        """Positions and view numbers of the batch's images, int64 [B] each."""
        count = len(self.images)
        place = torch.arange(step * self.batch_size, (step + 1) * self.batch_size)[self.share]
        first, last = int(place[0]) // count, int(place[-1]) // count
        positions = torch.cat([self._order(number) for number in range(first, last + 1)])[place - first * count]
        return positions, place // count

    def _order(self, number: int) -> Tensor:
        """The random order of pass `number`; the last few are kept."""
        if number not in self._orders:
            for old in [one for one in self._orders if one < number - 1]:
                del self._orders[old]
            self._orders[number] = torch.randperm(len(self.images), generator=generator(self.seed, "order", number))
        return self._orders[number]
