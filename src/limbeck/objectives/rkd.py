"""Relational knowledge distillation: distances and angles between images agree, up to scale."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from limbeck.objectives.checks import check_at_least
from limbeck.objectives.objective import Objective

_ELEMENTS = {"cpu": 2**16}
"""Numbers that one block of angles may hold, so that a processor's cache holds them; elsewhere `_MOST`."""
_MOST = 2**24


def rkd(student_embedding: Tensor, teacher_embedding: Tensor, *, distance: float = 25.0, angle: float = 50.0) -> Tensor:
    """distance x the mean of h(d_s - d_t) over pairs + angle x the mean of h(c_s - c_t) over triples; h is Huber's.

    d are the distances |x_i - x_j| over the mean of those of different images; c the cosines of the angles at image i
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
    # In float64: |a|² + |b|² - 2ab of images that are nearly equal, as mixtures of the same two are, is else rounding
    # alone, and the slope of its root, 1 / 2d, blows that up to a gradient.
    exact, count = x.double(), len(x)
    squares = exact.square().sum(1)
    apart = torch.addmm(squares[:, None] + squares, exact, exact.t(), alpha=-2).clamp_min(1e-12).sqrt()
    apart = apart.masked_fill(torch.eye(count, dtype=torch.bool, device=x.device), 0)
    return (apart * (count * max(1, count - 1) / apart.sum().clamp_min(1e-12))).to(x.dtype)


def angles(student: Tensor, teacher: Tensor) -> Tensor:
    """The part of `rkd` on angles: value and gradient in one sweep, block after block of corners."""
    return _Angles.apply(student, teacher)  # pyright: ignore[reportReturnType]


class _Angles(torch.autograd.Function):
    """Computes the gradient beside the value, as it needs the same cosines, and keeps only that, [B, D].

    By the law of cosines, with q the squared distances and r = q^(-1/2), the cosine at i between j and k is
    c_ijk = (q_ij + q_ik - q_jk) r_ij r_ik / 2, so no vectors are compared. With s_ijk the slope of the loss at c_ijk,
    the slope at q_ij is r_ij sum_k s_ijk r_ik - r_ij² sum_k s_ijk c_ijk where i is the corner, less
    sum_i s_ijk r_ij r_ik / 2 at q_jk, where it is not.
    """

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor) -> Tensor:
        count = len(student)
        squares, inverse = _sides(student)
        others, others_inverse = _sides(teacher)
        by_square, total = torch.zeros_like(squares), student.new_zeros(())
        block = max(1, _ELEMENTS.get(student.device.type, _MOST) // count**2)
        for first in range(0, count, block):
            corner = slice(first, first + block)
            doubled = _doubled_cosines(squares, inverse, corner)
            difference = _doubled_cosines(others, others_inverse, corner).sub_(doubled).div_(-2)
            slope = difference.clamp(-1, 1)
            # Huber's function, from its own slope.
            total += torch.dot(slope.view(-1), difference.view(-1)) - torch.dot(slope.view(-1), slope.view(-1)) / 2
            turned = doubled.mul_(slope).sum(2) / 2
            slope.mul_(inverse[corner, :, None]).mul_(inverse[corner, None])
            by_square[corner] += slope.sum(2) - inverse[corner].square() * turned
            by_square -= slope.sum(0) / 2
        symmetric = by_square + by_square.t()
        exact = student.to(symmetric.dtype)
        gradient = 2 * (symmetric.sum(1, keepdim=True) * exact - symmetric @ exact)
        ctx.save_for_backward(gradient.to(student.dtype) / count**3)
        return total / count**3

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return outputs[0] * gradient, None


def _sides(x: Tensor) -> tuple[Tensor, Tensor]:
    """Squared distances in float64, as the law of cosines subtracts them, and 1 / distances; [B, B]."""
    distances = torch.cdist(x.double(), x.double(), compute_mode="donot_use_mm_for_euclid_dist")
    # An image seen from itself has no direction: cosine 0, and no gradient.
    inverse = distances.masked_fill(distances < 1e-12, torch.inf).reciprocal().to(x.dtype)
    return distances.square_(), inverse


def _doubled_cosines(squares: Tensor, inverse: Tensor, corner: slice) -> Tensor:
    """Twice the cosines of the angles at the images of the block, [b, B, B]."""
    sides = (squares[corner, :, None] - squares).add_(squares[corner, None]).to(inverse.dtype)
    return sides.mul_(inverse[corner, :, None]).mul_(inverse[corner, None])


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
