"""The stream of training batches, each a pure function of the step.

The transfer set is shown in a new random order in each pass, without a gap between passes: every batch is full,
whatever the sizes, and a run can start at any step. An image's view number is how often it was shown before.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from limbeck.copies import copies_alone, to_device
from limbeck.data.augmentation import Augmentation
from limbeck.data.image_set import ImageSet
from limbeck.data.mixing import mixed_labels
from limbeck.data.normalised_views import NormalisedViews
from limbeck.data.soft_targets import SoftTargets
from limbeck.randomness import derive_seed, generator

RESIDENT_BYTES = 4 * 2**30
"""Larger sets are gathered (and decoded if necessary) batch by batch."""


Passes = Callable[[int], Tensor]
"""Number of a pass, 0, 1, ... -> positions of the images that it shows, int64 [n], n >= 1; a pure function."""


class Batch(NamedTuple):
    """What the student is shown in one step.

    Attributes:
        images: uint8 [B, C, H, W], augmented; for a set that has floats, float32 in units of [0, 1].
        labels: int64 [B], or None; for mixtures float32 [B, K], one-hot labels weighted by the images' shares.
        ids: int64 [B]; for mixtures those of the images that others are mixed into.
        teacher_logits: float32 [B, K] where soft labels stand in for a teacher, else None.
        input_transform: what each network's inputs go through after its own normalisation, normalised views; or None.
    """

    images: Tensor
    labels: Tensor | None
    ids: Tensor
    teacher_logits: Tensor | None
    input_transform: Callable[[Tensor], Tensor] | None = None


class BatchStream:
    """Batches of a transfer set by step.

    For a set above `RESIDENT_BYTES`, a thread reads and decodes the images of the next step while the caller computes
    with those of this one. Its errors are raised in the step that needs those images. Close the stream to end it.
    Images that views mix in are read like the others: one more for each image, or as many as are mixed in.

    Args:
        images: the transfer set, N images; one that has floats is shown as these, without views that need 8 bits.
        augmentation: applied to whole batches on `device`.
        batch_size: images a step over all processes; must divide by `processes`.
        seed: of order and views.
        device: where batches are made and, up to `RESIDENT_BYTES`, where the images live.
        soft_labels: of the N images, in place of a teacher, or None.
        channels_last: memory order of the batches' images, which networks keep.
        normalised_views: drawn here, and applied by each network after its own normalisation.
        process, processes: which equal share of each batch this process gets.
        steps: total number of steps, after which nothing is read ahead; None if unknown.
        passes: which images a pass shows, still in random order; None for all of them.
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
        normalised_views: NormalisedViews | None = None,
        process: int = 0,
        processes: int = 1,
        steps: int | None = None,
        passes: Passes | None = None,
    ) -> None:
        self.images = images
        self.passes = passes
        self._starts = [0]  # places at which passes begin, as far as known
        self.augmentation = augmentation
        self.batch_size = batch_size
        self.seed = seed
        self.view_seed = derive_seed(seed, "views")
        self.device = device
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.normalised_views = normalised_views
        self.share = slice(process * batch_size // processes, (process + 1) * batch_size // processes)
        self.ids = images.ids.to(device)
        self.labels = None if images.labels is None else images.labels.to(device)
        self.teacher_logits = None if soft_labels is None else soft_labels.teacher_logits().to(device)
        # Pixels in [N, H, W, C] order: whole rows of memory move, and batches come out channels-last.
        self._gather = _float_pixels(images) if images.has_floats else images.gather
        size = math.prod(images.shape) * (4 if images.has_floats else 1)  # bytes
        fits = len(images) * size <= RESIDENT_BYTES
        short = fits and self._is_short(steps)
        whole = images.tensor if not images.has_floats else lambda: self._gather(torch.arange(len(images)))
        self.pixels = whole().to(device).permute(0, 2, 3, 1).contiguous() if fits and not short else None
        self._reader = None if fits else ReadAhead(self._gather, lambda step: self._read(step).flatten(), device, steps)
        mixed_with = images.ids if augmentation.others else images.ids[:0]
        self._everyone, self._places = mixed_with.sort()  # int64 [N] each, or [0]
        self._orders: dict[int, Tensor] = {}
        self._shown: dict[int, tuple[Tensor, Tensor]] = {}

    def __getitem__(self, step: int) -> Batch:
        read = self._read(step)  # int64 [1 + others, B]
        moved = to_device(torch.cat([self.shown(step)[1][None], read]), self.device)
        view, positions = moved[0], moved[1:]
        if self.pixels is not None:
            rows = self.pixels.index_select(0, positions.flatten())
            raw = rows.permute(0, 3, 1, 2)  # [B, C, H, W] uint8 or float32, channels-last
        elif self._reader is None:
            rows = self._gather(positions.flatten()).permute(0, 2, 3, 1)
            raw = rows.clone(memory_format=torch.contiguous_format).permute(0, 3, 1, 2)  # in memory as above
        else:
            raw = self._reader(step).to(self.device, non_blocking=True)  # [B, C, H, W] uint8 or float32
        here = positions[0]
        ids = self.ids[here]
        labels = None if self.labels is None else self.labels[here]
        if self.augmentation.others:
            images, labels = self._mixed(raw, ids, view, positions)
        else:
            images = self.augmentation(raw, ids, seed=self.view_seed, view=view)  # [B, C, H, W] as they were
        return Batch(
            images=images.contiguous(memory_format=self.memory_format),
            labels=labels,
            ids=ids,
            teacher_logits=None if self.teacher_logits is None else self.teacher_logits[here],
            input_transform=self._input_transform(step),
        )

    def _input_transform(self, step: int) -> Callable[[Tensor], Tensor] | None:
        """The normalised views of a step, or None: each network is shown them by the same draw."""
        if self.normalised_views is None or not self.normalised_views.changes:
            return None
        first, stop = self.share.start, self.share.stop
        draw = self.normalised_views.draw(stop - first, seed=self.seed, step=step, first=first, device=self.device)
        return partial(self.normalised_views.apply, draw=draw)

    def _is_short(self, steps: int | None) -> bool:
        """Whether fewer images are shown than the set has, so that copying all of them would not pay."""
        if steps is None or self.device.type != "cpu" or not self.images.is_decoded:
            return False
        return steps * self.batch_size * (1 + self.augmentation.others) < len(self.images)

    def _mixed(self, raw: Tensor, ids: Tensor, view: Tensor, positions: Tensor) -> tuple[Tensor, Tensor | None]:
        """Mixtures uint8 [B, C, H, W] of raw images [(1 + others) x B, C, H, W], and their targets float32 [B, K]."""
        own, *others = raw.split(len(ids))
        draw = self.augmentation.draw(ids, seed=self.view_seed, view=view)
        images, shares = self.augmentation.mix(own, ids, draw, others)
        if self.labels is None:
            return images, None
        return images, mixed_labels([self.labels[rows] for rows in positions], shares, self.images.num_classes)

    def _read(self, step: int) -> Tensor:
        """Positions of the images that a batch is made of, int64 [1 + others, B]: those shown, then those mixed in."""
        positions, view = self.shown(step)
        if not self.augmentation.others:
            return positions[None]
        ids = self.images.ids[positions]
        draw = self.augmentation.draw(ids, seed=self.view_seed, view=view)
        partners = self.augmentation.partners(ids, draw, self._everyone)  # [others, B]
        return torch.cat([positions[None], self._places[torch.searchsorted(self._everyone, partners)]])

    def shown(self, step: int) -> tuple[Tensor, Tensor]:
        """Positions in the set and view numbers of the batch's images, int64 [B] each on the CPU."""
        if step not in self._shown:
            beside = {other: shown for other, shown in self._shown.items() if abs(step - other) == 1}
            self._shown = beside | {step: self._look_up(step)}
        return self._shown[step]

    def draws(self, step: int) -> tuple[Tensor, Tensor]:
        """Which view of which image the batch shows, int64 [B] each on the CPU: positions in the set, and draws."""
        positions, view = self.shown(step)
        return positions, self.augmentation.draw(self.images.ids[positions], seed=self.view_seed, view=view)

    def close(self) -> None:
        """Ends reading ahead."""
        if self._reader is not None:
            self._reader.close()

    def _look_up(self, step: int) -> tuple[Tensor, Tensor]:
        first = step * self.batch_size
        pieces = list(self._pieces(first + self.share.start, first + self.share.stop))
        positions = torch.cat([self._order(number)[start:stop] for number, start, stop in pieces])
        views = torch.cat([torch.full((stop - start,), number) for number, start, stop in pieces])
        return positions, views

    def _pieces(self, place: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Places `place` to `end` in the endless sequence of passes: (pass, start in its order, stop in its order)."""
        number, start = self._pass_at(place)
        while place < end:
            stop = min(len(self._order(number)), start + end - place)
            yield number, start, stop
            place += stop - start
            number, start = number + 1, 0

    def _pass_at(self, place: int) -> tuple[int, int]:
        """The pass that a place belongs to, and where in its order."""
        if self.passes is None:
            return divmod(place, len(self.images))
        while self._starts[-1] <= place:
            self._starts.append(self._starts[-1] + len(self.passes(len(self._starts) - 1)))
        number = bisect_right(self._starts, place) - 1
        return number, place - self._starts[number]

    def _order(self, number: int) -> Tensor:
        """The random order of pass `number`, int64 [N], or [n] of the images it shows; the last two are cached."""
        if number not in self._orders:
            self._orders = {earlier: order for earlier, order in self._orders.items() if earlier >= number - 1}
            shown = None if self.passes is None else self.passes(number)
            count = len(self.images) if shown is None else len(shown)
            order = torch.randperm(count, generator=generator(self.seed, "order", number))
            self._orders[number] = order if shown is None else shown[order]
        return self._orders[number]


def _float_pixels(images: ImageSet) -> Callable[[Tensor], Tensor]:
    """Positions int64 [B] -> float32 [B, C, H, W] in units of [0, 1], neither rounded nor clamped."""
    return lambda positions: images.floats(positions).float()


class ReadAhead:
    """Images by step; a thread reads those of the next step meanwhile.

    Args:
        gather: positions int64 [B] -> images uint8 [B, C, H, W]; nothing else may change what it reads.
        positions: step -> positions of its images; called in the caller's thread.
        device: where the images go; for a GPU they are read into pinned memory, for asynchronous copies.
        steps: how many there are; None if unknown.
    """

    def __init__(
        self,
        gather: Callable[[Tensor], Tensor],
        positions: Callable[[int], Tensor],
        device: torch.device,
        steps: int | None,
    ) -> None:
        self._gather = gather
        self._positions = positions
        self._pinned = copies_alone(device)
        self._steps = steps
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="limbeck-read-ahead")
        self._next: tuple[int, Future[Tensor]] | None = None

    def __call__(self, step: int) -> Tensor:
        """Images of `step`, uint8 [B, C, H, W] on the CPU.

        Raises:
            Exception: what `gather` raises, whichever thread it ran in.
        """
        ahead, self._next = self._next, None
        images = ahead[1].result() if ahead is not None and ahead[0] == step else self._read(self._positions(step))
        if self._steps is None or step + 1 < self._steps:
            self._next = (step + 1, self._pool.submit(self._read, self._positions(step + 1)))
        return images

    def close(self) -> None:
        """Waits for what is being read, and ends the thread."""
        self._pool.shutdown(cancel_futures=True)

    def _read(self, positions: Tensor) -> Tensor:
        images = self._gather(positions)
        return images.pin_memory() if self._pinned else images
