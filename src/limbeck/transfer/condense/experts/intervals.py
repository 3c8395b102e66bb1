"""After which step an expert's snapshots are taken: a snapshot is one more interval, an epoch or some steps."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Intervals:
    """Steps of a training, interval after interval.

    Args:
        images: shown in an epoch; or, of a curriculum, in each of the first epochs, the last number for all that
            follow.
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
        if len(self.images) == 1:  # epochs follow each other without a gap, so that a batch may belong to two
            return -(-number * self.images[0] // self.batch_size)
        return sum(self.length(interval) for interval in range(number))

    def length(self, interval: int) -> int:
        """Steps of interval 0, 1, ... of a curriculum, whose images are others in the next one."""
        if self.steps is not None:
            return self.steps
        return -(-self.images[min(interval, len(self.images) - 1)] // self.batch_size)

    def interval(self, step: int) -> int:
        """That step 0, 1, ... belongs to, of a curriculum."""
        if self.steps is not None:
            return step // self.steps
        starts = [self.step(number) for number in range(1, len(self.images))]
        first = bisect_right(starts, step)
        if first < len(self.images) - 1 or not starts:
            return first
        return first + (step - starts[-1]) // self.length(first)
