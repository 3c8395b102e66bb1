"""Neuron selectivity transfer: channels of the student spread over positions as the teacher's do."""

import torch
import torch.nn.functional as F
from torch import Tensor

from limbeck.objectives.objective import Objective
from limbeck.objectives.setup import Setup
from limbeck.objectives.stages import Stages, check_stages, pair, parse_stages, same_size


def nst(student_stages: Stages, teacher_stages: Stages) -> Tensor:
    """The sum over stages of the squared maximum mean discrepancy between the channels of student and teacher.

    Channels are vectors over positions, scaled to length 1; the kernel is k(a, b) = (a . b)². The mean over pairs of
    such a kernel is an inner product of second moments, so the loss of an image is |S'S / C - T'T / C'|² over
    positions or, where there are fewer channels than positions, the same from the C x C' products.

    Args:
        student_stages: maps [B, C, H, W], shallow to deep.
        teacher_stages: as many maps [B, C', H', W']; they receive no gradient. The larger is pooled.

    Source: Huang and Wang, "Like what you like: knowledge distill via neuron selectivity transfer", arXiv 1707.01219
    (2017).

    Example:
        >>> nst([torch.ones(1, 2, 2, 2)], [torch.eye(2).expand(1, 3, 2, 2)])
        tensor(1.0000)
    """
    losses = []
    for student, teacher in zip(student_stages, teacher_stages, strict=True):
        student, teacher = (F.normalize(stage.flatten(2), dim=2) for stage in same_size(student, teacher.detach()))
        losses.append(_discrepancy(student, teacher))
    return torch.stack(losses).sum()


def _discrepancy(student: Tensor, teacher: Tensor) -> Tensor:
    """Of channels [B, C, HW] and [B, C', HW], the mean over the batch; by the smaller of the two kinds of products."""
    channels, others, places = student.shape[1], teacher.shape[1], student.shape[2]
    if places <= max(channels, others):
        moments = student.mT @ student / channels - teacher.mT @ teacher / others
        return moments.square().sum() / len(student)
    return (
        (student @ student.mT).square().mean()
        + (teacher @ teacher.mT).square().mean()
        - 2 * (student @ teacher.mT).square().mean()
    )


class NST(Objective):
    """`nst` on a range of stages.

    Args:
        stages: which; "1:" leaves the stem out, as published.
    """

    per_image = True

    def __init__(self, *, stages: str = "1:") -> None:
        super().__init__()
        self.stages = parse_stages(stages)

    def build(self, setup: Setup) -> None:
        check_stages("nst", setup, self.stages)

    def forward(self, student_stages: Stages, teacher_stages: Stages) -> Tensor:
        return nst(*pair(student_stages, teacher_stages, self.stages))
