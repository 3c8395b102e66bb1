"""Similarity-preserving distillation: images that are alike for the teacher are alike for the student."""

import torch
import torch.nn.functional as F
from torch import Tensor

from limbeck.objectives.objective import Objective
from limbeck.objectives.setup import Setup
from limbeck.objectives.stages import Stages, check_stages, pair, parse_stages


def sp(student_stages: Stages, teacher_stages: Stages) -> Tensor:
    """The sum over stages of |G_s - G_t|² / B², G being F F' with rows scaled to length 1 and F [B, CHW] the stage.

    Shapes of student and teacher need not agree.

    Args:
        student_stages: maps [B, C, H, W], shallow to deep.
        teacher_stages: as many maps; they receive no gradient.

    Source: Tung and Mori, "Similarity-preserving knowledge distillation", ICCV 2019.

    Example:
        >>> sp([torch.eye(2).view(2, 2, 1, 1)], [torch.ones(2, 3, 1, 1)])
        tensor(0.2929)
    """
    losses = [
        (_similarities(student) - _similarities(teacher.detach())).square().mean()
        for student, teacher in zip(student_stages, teacher_stages, strict=True)
    ]
    return torch.stack(losses).sum()


def _similarities(stage: Tensor) -> Tensor:
    flat = stage.flatten(1)
    return F.normalize(flat @ flat.t())


class SP(Objective):
    """`sp` on a range of stages.

    Args:
        stages: which; "-1:", the deepest, as published.
    """

    def __init__(self, *, stages: str = "-1:") -> None:
        super().__init__()
        self.stages = parse_stages(stages)

    def build(self, setup: Setup) -> None:
        check_stages("sp", setup, self.stages)

    def forward(self, student_stages: Stages, teacher_stages: Stages) -> Tensor:
        return sp(*pair(student_stages, teacher_stages, self.stages))
