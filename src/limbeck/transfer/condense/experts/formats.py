"""The formats in which the parameters of a snapshot are kept, and what they lose.

Between two snapshots weights move by a few per cent of themselves. Rounding them to the 8 bits of bfloat16 would cost a
few thousandths of the squared distance; to the 11 bits of float16 it costs less than a ten-thousandth; rounding the
*differences* to bfloat16, three millionths (a ConvNet of width 32 on CIFAR-10, a snapshot every half epoch). Each
difference is taken to the sum of the stored ones before it, so that errors do not add up.
"""

from typing import NamedTuple

import torch
from torch import Tensor

DIFFERENCE = torch.bfloat16
"""Dtype of differences; no whole snapshot has it, so it marks them."""
BYTES = {"float16": 2, "float32": 4, "differences": 2}
"""Bytes per parameter of a snapshot by format; the first snapshot of a chain of differences takes 4."""


class Encoded(NamedTuple):
    """A snapshot as it is kept.

    Attributes:
        kept: what is written, `[P]`.
        theta: what reading it gives, float32 `[P]`.
    """

    kept: Tensor
    theta: Tensor


def encode(theta: Tensor, before: Tensor | None, form: str) -> Encoded:
    """Encodes parameters in one of the formats of `BYTES`.

    Args:
        theta: float32 `[P]`.
        before: what reading the snapshot before gives, or None for the first one.
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
    """Parameters float32 `[P]` from what was kept; a difference is added to `before`, those of the snapshot before."""
    if kept.dtype != DIFFERENCE:
        return kept.float()
    assert before is not None, "a chain begins with a whole snapshot"
    return before + kept.float()


class Precision(NamedTuple):
    """How precisely a format keeps the movement of an expert.

    Attributes:
        error: squared distance between parameters and what reading them gives.
        moved: squared distance to the snapshot before, both as read; NaN for the first one.
    """

    error: float
    moved: float

    @property
    def lost(self) -> float:
        """The error relative to the movement."""
        return self.error / self.moved if self.moved else float("inf")


def measure(theta: Tensor, encoded: Encoded, before: Tensor | None) -> Tensor:
    """`Precision` as a tensor float64 `[2]` on the parameters' device, without waiting for the device."""
    read = encoded.theta.double()
    error = (read - theta.double()).square().sum()
    moved = torch.full_like(error, float("nan")) if before is None else (read - before.double()).square().sum()
    return torch.stack([error, moved])
