"""What evidence reads of a repository of made images."""

from typing import Protocol

import torch
from torch import Tensor


class Held(Protocol):
    """Interface of what holds made images, as `Repository` does.

    Attributes:
        rows: numbers of those that are held, int64 `[n]`, the oldest first.
    """

    @property
    def rows(self) -> Tensor: ...

    def __len__(self) -> int: ...

    def column(self, name: str, rows: Tensor | None = None) -> Tensor:
        """ "images" uint8 `[n, C, H, W]`, "id", "round", "wanted" (-1 for none) and "label" int64 `[n]`, "confidence"
        `[n]`, of all that are held or of some rows, ascending."""
        ...


def spread(rows: Tensor, by: Tensor, most: int) -> Tensor:
    """At most so many of `rows`, ascending, evenly spread over them in the order of `by`: every class has its share.

    Args:
        rows: int64 `[n]`, ascending.
        by: int64 `[n]`, as classes.
        most: how many at most.

    Example:
        >>> spread(torch.arange(6), torch.tensor([0, 1, 0, 1, 0, 1]), 2)
        tensor([0, 5])
    """
    if len(rows) <= most:
        return rows
    order = by.argsort(stable=True)
    places = torch.linspace(0, len(rows) - 1, most, dtype=torch.float64).round().long()
    return rows[order[places]].sort().values
