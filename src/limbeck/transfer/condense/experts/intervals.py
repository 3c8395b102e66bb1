"""After which step an expert's snapshots are taken: each interval, an epoch or some steps, ends in one."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Intervals:
    """Steps of a training, interval after interval.

    Epochs follow each other without a gap, so that a batch may belong to two: an epoch ends with the step that shows
    its last image.

    Args:
        images: shown in epochs 0, 1, ...; the last number is that of all that follow.
        batch_size: images a step.
        steps: of every interval; None for epochs.

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
