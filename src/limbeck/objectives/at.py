"""Attention transfer: where in the image a stage is active."""

import torch
from torch import Tensor

from limbeck.objectives.objective import Objective
from limbeck.objectives.setup import Setup
from limbeck.objectives.stages import Stages, attention, check_stages, pair, parse_stages, same_size


def at(student_stages: Stages, teacher_stages: Stages) -> Tensor:
    """The sum over stages of |a_s - a_t|² / HW, the mean over the batch.

    a = mean_c(f_c²), as a vector of all positions, scaled to length 1: channels need not agree, and the larger of two
    maps is pooled to the size of the smaller.

    Args:
        student_stages: maps [B, C, H, W], shallow to deep.
        teacher_stages: as many maps; they receive no gradient.

    Source: Zagoruyko and Komodakis, "Paying more attention to attention", ICLR 2017.

    Example:
        >>> at([torch.ones(1, 2, 2, 2)], [torch.eye(2).expand(1, 3, 2, 2)])
        tensor(0.1464)
    """
    losses = []
    for student, teacher in zip(student_stages, teacher_stages, strict=True):
        student, teacher = same_size(student, teacher.detach())
        losses.append((attention(student) - attention(teacher)).square().mean())
    return torch.stack(losses).sum()


class AT(Objective):
    """`at` on a range of stages.

    Args:
        stages: which; "1:" leaves the stem out, as published.
    """

    per_image = True

    def __init__(self, *, stages: str = "1:") -> None:
        super().__init__()
        self.stages = parse_stages(stages)

    def build(self, setup: Setup) -> None:
        check_stages("at", setup, self.stages)

    def forward(self, student_stages: Stages, teacher_stages: Stages) -> Tensor:
        return at(*pair(student_stages, teacher_stages, self.stages))
