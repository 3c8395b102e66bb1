"""In which form the parameters of a snapshot are kept, and what that loses.

Between two snapshots weights move by a few per cent of themselves. To round them to the 8 bits of bfloat16 would cost a
few thousandths of the squared distance; to the 11 bits of float16 it costs less than a ten-thousandth; to round the
*differences* to bfloat16, three millionths (a ConvNet of width 32 on CIFAR-10, a snapshot every half epoch). Each
difference is taken to what those before add up to, so that errors do not.
"""

from typing import NamedTuple

import torch
from torch import Tensor

DIFFERENCE = torch.bfloat16
"""No whole snapshot is kept in this type, which therefore marks differences."""
BYTES = {"float16": 2, "float32": 4, "differences": 2}
"""Of a parameter in a snapshot; the first of a chain of differences takes 4."""


class Encoded(NamedTuple):
    """A snapshot as it is kept.

    Attributes:
        kept: what is written, `[P]`.
        theta: what will be read, float32 `[P]`.
    """

    kept: Tensor
    theta: Tensor


def encode(theta: Tensor, before: Tensor | None, form: str) -> Encoded:
    """Parameters in a form of `BYTES`.

    Args:
        theta: float32 `[P]`.
        before: what will be read of the snapshot before, or None for the first one.
        form: "float16", "float32" or "differences".

    Example:
        >>> encode(torch.tensor([1.0]), None, "float16").kept.dtype
        torch.float16
    """
    if form == "differences" and before is not None:
        difference = (theta - before).to(DIFFERENCE)
        return Encoded(difference, decode(difference, before))
    kept = theta.half() if form == "float16" else theta.clone()
    return Encoded(kept, decode(kept, before))


def decode(kept: Tensor, before: Tensor | None) -> Tensor:
    """Parameters float32 `[P]` from what was kept, and from those of the snapshot before if that is a difference."""
    if kept.dtype != DIFFERENCE:
        return kept.float()
    assert before is not None, "a chain begins with a whole snapshot"
    return before + kept.float()


class Precision(NamedTuple):
    """How much of what an expert moves a form keeps.

    Attributes:
        error: squared distance between parameters and what will be read of them.
        moved: squared distance to the snapshot before, as they will be read; NaN of the first one.
    """

    error: float
    moved: float

    @property
    def lost(self) -> float:
        """The error as a share of what was moved."""
        return self.error / self.moved if self.moved else float("inf")


def measure(theta: Tensor, encoded: Encoded, before: Tensor | None) -> Tensor:
    """`Precision` as float64 `[2]` on the device of the parameters, which is not waited for."""
    read = encoded.theta.double()
    error = (read - theta.double()).square().sum()
    moved = torch.full_like(error, float("nan")) if before is None else (read - before.double()).square().sum()
    return torch.stack([error, moved])
