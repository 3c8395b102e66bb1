"""Expert, start epoch and batches of an iteration: functions of its number and a seed."""

import torch
from torch import Tensor

from limbeck.randomness import generator
from limbeck.transfer.condense.method_settings import Matching


def expert_of(iteration: int, count: int, seed: int) -> int:
    """Number of the expert to match: all in a random order, then all in another order, and so on.

    Example:
        >>> sorted(expert_of(iteration, 3, seed=0) for iteration in range(3, 6))
        [0, 1, 2]
    """
    rounds, position = divmod(iteration, count)
    return int(torch.randperm(count, generator=generator(seed, "experts", rounds))[position])


def start_range(iteration: int, matching: Matching) -> range:
    """Epochs that may be a start; the end of the range grows from `start_to` to `grow_to`.

    Example:
        >>> matching = Matching(start_to=10, grow_to=20, grow_until=1000)
        >>> [start_range(iteration, matching).stop for iteration in (0, 99, 100, 1000, 5000)]
        [10, 10, 11, 20, 20]
    """
    end = matching.start_to
    if matching.grow_to is not None and matching.grow_until is not None:
        end = min(end + (matching.grow_to - end) * iteration // matching.grow_until, matching.grow_to)
    return range(matching.start_from, end)


def start_of(iteration: int, matching: Matching, seed: int) -> int:
    """The epoch to start from, drawn uniformly from `start_range`."""
    epochs = start_range(iteration, matching)
    return int(torch.randint(epochs.start, epochs.stop, (), generator=generator(seed, "start", iteration)))


def batches_of(count: int, matching: Matching, iteration: int, seed: int) -> list[Tensor]:
    """Rows of each step: a random order of all, cut into batches that are used from last to first, then another order.

    Where `batch` does not divide `count`, the smaller batch therefore comes first.

    Example:
        >>> [len(rows) for rows in batches_of(5, Matching(synthetic_steps=4, batch=2), 0, seed=0)]
        [1, 2, 2, 1]
    """
    source = generator(seed, "order", iteration)
    batches: list[Tensor] = []
    remaining: list[Tensor] = []
    for _ in range(matching.synthetic_steps):
        if not remaining:
            remaining = list(torch.randperm(count, generator=source).split(matching.batch or count))
        batches.append(remaining.pop())
    return batches
