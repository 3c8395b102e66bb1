"""Relational knowledge distillation: distances and angles between images agree, up to scale."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from limbeck.objectives.checks import check_at_least
from limbeck.objectives.objective import Objective

_ELEMENTS = 2**22
"""Numbers that one block of angles may hold; all B³ at once would be 17 million for a batch of 256."""


def rkd(student_embedding: Tensor, teacher_embedding: Tensor, *, distance: float = 25.0, angle: float = 50.0) -> Tensor:
    """distance x the mean of h(d_s - d_t) over pairs + angle x the mean of h(c_s - c_t) over triples; h is Huber's.

    d are the distances |x_i - x_j| over the mean of those that are not 0; c the cosines of the angles at image i
    between images j and k. Means are over all B² pairs and B³ triples.

    Args:
        student_embedding: [B, D].
        teacher_embedding: [B, D'], D' free; receives no gradient.
        distance, angle: weights of the parts, >= 0.

    Source: Park, Kim, Lu and Cho, "Relational knowledge distillation", CVPR 2019.

    Example:
        >>> rkd(torch.eye(3), torch.tensor([[0.0], [1.0], [3.0]]))
        tensor(6.0185)
    """
    teacher_embedding = teacher_embedding.detach()
    distances = F.smooth_l1_loss(_distances(student_embedding), _distances(teacher_embedding))
    return distance * distances + angle * angles(student_embedding, teacher_embedding)


def _distances(x: Tensor) -> Tensor:
    squares = x.square().sum(1)
    apart = (squares[:, None] + squares - 2 * x @ x.t()).clamp_min(1e-12).sqrt()
    apart = apart * (1 - torch.eye(len(x), dtype=x.dtype, device=x.device))
    return apart / (apart.sum() / (apart > 0).sum().clamp_min(1)).clamp_min(1e-12)


def angles(student: Tensor, teacher: Tensor) -> Tensor:
    """The part of `rkd` on angles: value and gradient in one sweep, block after block of corners."""
    return _Angles.apply(student, teacher)  # pyright: ignore[reportReturnType]


class _Angles(torch.autograd.Function):
    """Computes the gradient beside the value, as it needs the same cosines, and keeps that alone, [B, D]."""

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor) -> Tensor:
        count = len(student)
        gradient, total = torch.zeros_like(student), student.new_zeros(())
        block = max(1, _ELEMENTS // (count * max(count, student.shape[1], teacher.shape[1])))
        for first in range(0, count, block):
            corner = slice(first, first + block)
            units, lengths = _directions(student, corner)
            others, _ = _directions(teacher, corner)
            difference = units @ units.mT - others @ others.mT
            slope = difference.clamp(-1, 1)
            # Huber's function, as a product with its own slope.
            total += (slope * (difference - slope / 2)).sum()
            # A cosine holds either direction once, hence 2; then through the scaling to length 1.
            by_unit = 2 * (slope @ units)
            by_difference = (by_unit - units * (units * by_unit).sum(2, keepdim=True)) / lengths
            gradient += by_difference.sum(0)
            gradient[corner] -= by_difference.sum(1)
        ctx.save_for_backward(gradient / count**3)
        return total / count**3

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return outputs[0] * gradient, None


def _directions(x: Tensor, corner: slice) -> tuple[Tensor, Tensor]:
    """From every image of the block to all others: unit vectors [b, B, D] and their lengths before [b, B, 1]."""
    difference = x[None] - x[corner, None]
    lengths = torch.linalg.vector_norm(difference, dim=2, keepdim=True)
    # An image seen from itself has no direction: 0, and no gradient.
    lengths = lengths.masked_fill(lengths < 1e-12, torch.inf)
    return difference / lengths, lengths


class RKD(Objective):
    """`rkd` as a module.

    Args:
        distance, angle: as for `rkd`.
    """

    def __init__(self, *, distance: float = 25.0, angle: float = 50.0) -> None:
        super().__init__()
        check_at_least("distance", distance, 0)
        check_at_least("angle", angle, 0)
        self.distance, self.angle = distance, angle

    def forward(self, student_embedding: Tensor, teacher_embedding: Tensor) -> Tensor:
        return rkd(student_embedding, teacher_embedding, distance=self.distance, angle=self.angle)
