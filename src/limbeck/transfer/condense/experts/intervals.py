"""The steps after which snapshots of an expert are taken: at the end of each interval, an epoch or some steps."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Intervals:
    """The steps of a training, divided into intervals.

    Epochs follow each other without a gap, so that a batch may belong to two: an epoch ends with the step that shows
    its last image.

    Args:
        images: number of images shown in epochs 0, 1, ...; the last number holds for all later epochs.
        batch_size: images per step.
        steps: per interval; None for epochs.

    Example:
        >>> Intervals([100], batch_size=64).step(1), Intervals([100], batch_size=64).step(3)  # 300 images in 5 steps
        (2, 5)
        >>> Intervals([75, 100], batch_size=25).step(3)  # 3 + 4 + 4
        11
        >>> Intervals([100], batch_size=64, steps=7).step(3)
        21
    """

    images: Sequence[int]
    batch_size: int
    steps: int | None = None

    def step(self, number: int) -> int:
        """Steps before snapshot `number`; 0 for the first one, which is number 0."""
        if self.steps is not None:
            return number * self.steps
        shown = sum(self.images[:number]) + max(0, number - len(self.images)) * self.images[-1]
        return -(-shown // self.batch_size)
