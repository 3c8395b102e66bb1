"""Soft labels with their meaning: probabilities or logits, and the temperature at which a teacher gave them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Literal, get_args

import torch
from torch import Tensor

from limbeck.data.classes import place_columns
from limbeck.errors import UserError, unknown_name

Kind = Literal["probabilities", "logits"]
_OFF_BY = 0.01
"""How far the sum of a row of probabilities may be from 1: half precision and printed percentages are rounded."""


@dataclass(frozen=True, eq=False)
class SoftTargets:
    """A teacher's logits z for a set of images, in place of the teacher.

    Args:
        values: float [N, K]: softmax(z / T) or z / T.
        kind: which of the two, "probabilities" or "logits".
        temperature: T > 0; 1 for the plain outputs of a classifier.

    Raises:
        UserError: another shape or type, an unknown kind, a temperature that is not > 0, numbers that are not finite,
            or invalid probabilities.

    Example:
        >>> SoftTargets(torch.tensor([[2.0, 0.0]]), "logits", temperature=4.0).teacher_logits()
        tensor([[8., 0.]])
    """

    values: Tensor
    kind: Kind = "probabilities"
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.values, Tensor):
            got = type(self.values).__name__
            raise UserError(f"`soft_labels` must be a tensor, got {got}; `torch.as_tensor` makes one of it.")
        if self.values.ndim != 2 or not self.values.is_floating_point():
            raise UserError(f"`soft_labels` must be floats, got {self.values.dtype} {list(self.values.shape)}.")
        if self.kind not in get_args(Kind):
            raise unknown_name(
                "`soft_label_kind`", str(self.kind), get_args(Kind), f"It is {' or '.join(get_args(Kind))}."
            )
        if not (isinstance(self.temperature, int | float) and isfinite(self.temperature) and self.temperature > 0):
            raise UserError(f"`soft_label_temperature` must be > 0, got {self.temperature!r}.")
        bad = (~self.values.isfinite()).any(dim=1).nonzero()
        if len(bad):
            raise UserError(f"`soft_labels` must be finite, row {int(bad[0])} is not.")
        if self.kind == "probabilities":
            _check_probabilities(self.values)

    def __len__(self) -> int:
        return len(self.values)

    def teacher_logits(self) -> Tensor:
        """float32 [N, K], z up to a constant per image, to which softmax is invariant."""
        values = self.values.float()
        if self.kind == "probabilities":
            values = values.clamp_min(1e-12).log()
        return values * self.temperature

    def rows(self, positions: Tensor) -> "SoftTargets":
        """The soft labels of the images at `positions`, int64 [n]."""
        return replace(self, values=self.values[positions])

    def placed(self, places: Sequence[int]) -> "SoftTargets":
        """The same for classes in another order: class i becomes `places[i]`."""
        return replace(self, values=place_columns(self.values, places))


def _check_probabilities(values: Tensor) -> None:
    sums = values.sum(dim=1, dtype=torch.float64)
    outside = (values < -1e-6).any(dim=1) | (values > 1 + _OFF_BY).any(dim=1)
    wrong = (outside | ((sums - 1).abs() > _OFF_BY)).nonzero()
    if len(wrong):
        row = int(wrong[0])
        low, high = values[row].min().item(), values[row].max().item()
        raise UserError(
            "`soft_labels` must be probabilities, rows of numbers in 0..1 that sum up to 1, unless their kind is "
            f"'logits'; row {row} lies in {low:.4g}..{high:.4g} and sums up to {sums[row].item():.4g}. Say "
            "`soft_label_kind='logits'` for a teacher's logits, or take their softmax."
        )
