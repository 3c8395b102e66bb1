"""Probabilistic knowledge transfer: how likely each image is the neighbour of each other image."""

import torch
from torch import Tensor

from limbeck.objectives.objective import Objective

_EPSILON = 1e-7


def pkt(student_embedding: Tensor, teacher_embedding: Tensor) -> Tensor:
    """The mean over all B² pairs of p_t log(p_t / p_s), with p the rows of (cosine + 1) / 2, scaled to sum 1.

    Args:
        student_embedding: [B, D].
        teacher_embedding: [B, D'], D' free; receives no gradient.

    Source: Passalis and Tefas, "Learning deep representations with probabilistic knowledge transfer", ECCV 2018.

    Example:
        >>> pkt(torch.eye(2), torch.ones(2, 3))
        tensor(0.0294)
    """
    student, teacher = _neighbours(student_embedding), _neighbours(teacher_embedding.detach())
    return (teacher * ((teacher + _EPSILON) / (student + _EPSILON)).log()).mean()


def _neighbours(embedding: Tensor) -> Tensor:
    unit = embedding / (torch.linalg.vector_norm(embedding, dim=1, keepdim=True) + _EPSILON)
    similarities = (unit @ unit.t() + 1) / 2
    return similarities / similarities.sum(1, keepdim=True)


class PKT(Objective):
    """`pkt` as a module; it has no options."""

    def forward(self, student_embedding: Tensor, teacher_embedding: Tensor) -> Tensor:
        return pkt(student_embedding, teacher_embedding)
