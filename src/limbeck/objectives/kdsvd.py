"""Distillation by singular vectors: how the main direction of a stage's features turns from stage to stage."""

from typing import Any

import torch
from torch import Tensor

from limbeck.objectives.checks import check_count
from limbeck.objectives.objective import Objective
from limbeck.objectives.setup import Setup
from limbeck.objectives.stages import Stages, check_equal_channels, check_stages, pair, parse_stages

_CANDIDATES = 3  # more singular vectors of the student than of the teacher, as their order may differ


def kdsvd(student_stages: Stages, teacher_stages: Stages, *, vectors: int = 1) -> Tensor:
    """The sum over neighbouring stages of |exp(-(v_s - w_s)² / 8) - exp(-(v_t - w_t)² / 8)|², the mean over images.

    v and w are the leading right singular vectors [C, k] of two stages in a row, as matrices [HW, C], scaled by the
    teacher's singular values; differences are taken between all channels of one and all of the other. Each teacher's
    vector is compared with the student's that is most parallel to it.

    Args:
        student_stages: at least two maps [B, C, H, W], shallow to deep.
        teacher_stages: as many maps of equal channels; they receive no gradient.
        vectors: k >= 1.

    Source: Lee, Kim and Song, "Self-supervised knowledge distillation using singular value decomposition", ECCV 2018.

    Example:
        >>> kdsvd([torch.ones(1, 2, 4, 4)] * 2, [torch.ones(1, 2, 4, 4)] * 2)
        tensor(0.)
    """
    losses, before = [], None
    for student, teacher in zip(student_stages, teacher_stages, strict=True):
        now = _directions(student, teacher.detach(), vectors)
        if before is not None:
            of_student, of_teacher = (_kernel(new, old) for new, old in zip(now, before, strict=True))
            losses.append((of_student - of_teacher).square().sum() / len(student))
        before = now
    return torch.stack(losses).sum()


def _kernel(new: Tensor, old: Tensor) -> Tensor:
    """How close all entries of one stage's vectors are to all of another's, [B, C, C', k]."""
    return ((new[:, :, None] - old[:, None]).square() / -8).exp()


def _directions(student: Tensor, teacher: Tensor, vectors: int) -> tuple[Tensor, Tensor]:
    """The teacher's vectors [B, C, k], scaled, and the student's that go with them."""
    targets, values = leading_vectors(teacher, vectors)
    student_vectors, _ = leading_vectors(student, vectors + _CANDIDATES)
    cosines = (student_vectors.mT @ targets).detach()
    best = cosines.abs().amax(1, keepdim=True)
    student_vectors = student_vectors @ torch.where(cosines.abs() == best, cosines.sign(), 0)
    scale = torch.nn.functional.normalize(values[:, None], dim=2)
    return student_vectors * scale, targets * scale


def leading_vectors(stage: Tensor, vectors: int) -> tuple[Tensor, Tensor]:
    """Leading right singular vectors [B, C, k] and values [B, k] of a stage [B, C, H, W] as matrices [HW, C]."""
    return _Leading.apply(stage.flatten(2).mT.float(), vectors)  # pyright: ignore[reportReturnType]


class _Leading(torch.autograd.Function):
    """Singular vectors whose gradient stays finite where singular values coincide: that direction is left out."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, vectors: int) -> tuple[Tensor, Tensor]:
        _, values, right = torch.linalg.svd(matrix, full_matrices=False)
        right = right.mT
        ctx.vectors = min(vectors, right.shape[2])
        ctx.save_for_backward(matrix, values, right)
        ctx.mark_non_differentiable(values)
        return right[:, :, : ctx.vectors].clone(), values[:, : ctx.vectors].clone()

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, None]:
        matrix, values, right = ctx.saved_tensors
        slope, leading = outputs[0], right[:, :, : ctx.vectors]
        # The vectors are eigenvectors of the Gram matrix; perturbation theory of those, in float32.
        squares = values.square()
        gaps = squares[:, None, : ctx.vectors] - squares[:, :, None]
        floor = 1e-6 * squares[:, :1, None]
        inside = right.mT @ slope
        turned = right @ (inside * _reciprocal(gaps, floor))
        outside = (slope - right @ inside) * _reciprocal(squares[:, None, : ctx.vectors], floor)
        mixed = (turned + outside) @ leading.mT
        return matrix @ (mixed + mixed.mT), None


def _reciprocal(x: Tensor, floor: Tensor) -> Tensor:
    """1 / x, and 0 where |x| is no more than `floor`."""
    small = x.abs() <= floor
    return torch.where(small, 0, 1 / x.masked_fill(small, 1))


class KDSVD(Objective):
    """`kdsvd` on a range of stages. On a GPU each step waits, as torch looks whether the singular values converged.

    Args:
        vectors: per stage, a whole number >= 1.
        stages: which; "1:" leaves the stem out, as published.
    """

    per_image = True

    def __init__(self, *, vectors: int = 1, stages: str = "1:") -> None:
        super().__init__()
        check_count("vectors", vectors)
        self.vectors = vectors
        self.stages = parse_stages(stages)

    def build(self, setup: Setup) -> None:
        check_stages("kdsvd", setup, self.stages, least=2)
        check_equal_channels("kdsvd", setup, self.stages)

    def forward(self, student_stages: Stages, teacher_stages: Stages) -> Tensor:
        return kdsvd(*pair(student_stages, teacher_stages, self.stages), vectors=self.vectors)
