"""Information-theoretic representation distillation: correlate features, and share the entropy of similarities."""

import torch.nn.functional as F
from torch import Tensor, nn

from limbeck.objectives.checks import check_at_least, check_positive
from limbeck.objectives.objective import Objective
from limbeck.objectives.setup import Setup, Unbuilt

_LEAST = 1e-12


def correlation(student_embedding: Tensor, teacher_embedding: Tensor, *, alpha: float = 1.5) -> Tensor:
    """log2 of the sum over features of |r - 1|^(2 alpha), r the correlation of student's and teacher's over the batch.

    Args:
        student_embedding: [B, D], projected.
        teacher_embedding: [B, D]; receives no gradient.
        alpha: > 0.
    """
    student, teacher = _whitened(student_embedding), _whitened(teacher_embedding.detach())
    distance = (student * teacher).mean(0) - 1
    # A constant under the root keeps the gradient of the power finite at correlation 1.
    return distance.abs().clamp_min(_LEAST).pow(2 * alpha).sum().clamp_min(_LEAST).log2()


def _whitened(embedding: Tensor) -> Tensor:
    if len(embedding) == 1:
        return embedding * 0  # a single image has no deviation
    deviation = embedding.std(0)
    return (embedding - embedding.mean(0)) / deviation.masked_fill(deviation == 0, 1)


def mutual_information(student_embedding: Tensor, teacher_embedding: Tensor) -> Tensor:
    """|G_s|² - |G_st|²: G_s the cosines of the student's embeddings, G_st their products with the teacher's.

    Both are scaled to trace 1.

    Args:
        student_embedding: [B, D].
        teacher_embedding: [B, D'], D' free; receives no gradient.
    """
    student, teacher = F.normalize(student_embedding), F.normalize(teacher_embedding.detach())
    of_student = student @ student.t()
    of_both = of_student * (teacher @ teacher.t())
    return _unit_trace(of_student).square().sum() - _unit_trace(of_both).square().sum()


def _unit_trace(matrix: Tensor) -> Tensor:
    return matrix / matrix.diagonal().sum().clamp_min(_LEAST)  # a GPU would wait in the gradient of trace()


def itrd(
    student_embedding: Tensor,
    teacher_embedding: Tensor,
    projected: Tensor | None = None,
    *,
    alpha: float = 1.5,
    correlation_weight: float = 2.0,
    mutual_weight: float = 0.05,
) -> Tensor:
    """The weighted sum of `correlation` and `mutual_information`.

    Args:
        student_embedding: [B, D], for the mutual information.
        teacher_embedding: [B, D'].
        projected: [B, D'], the student's for the correlation; by default the same.
        alpha: > 0.
        correlation_weight, mutual_weight: >= 0. The benchmark that the golden numbers are of adds both with weight 1.

    Source: Miles, Rodriguez and Mikolajczyk, "Information theoretic representation distillation", BMVC 2022.

    Example:
        >>> itrd(torch.eye(3), torch.eye(3).flip(0))
        tensor(4.5127)
    """
    projected = student_embedding if projected is None else projected
    correlated = correlation(projected, teacher_embedding, alpha=alpha)
    return correlation_weight * correlated + mutual_weight * mutual_information(student_embedding, teacher_embedding)


class ITRD(Objective):
    """`itrd`, with a learned linear projection of the student's embedding to the teacher's size.

    The mutual information is that of the projected embedding where sizes differ, and of the student's own where they
    are equal, as published.

    Args:
        alpha, correlation_weight, mutual_weight: as for `itrd`; the defaults are those of the authors' code, whose
            example for WRN-40-2 -> WRN-16-2 has 1.01, 2 and 1.

    Source: https://github.com/roymiles/ITRD
    """

    def __init__(self, *, alpha: float = 1.5, correlation_weight: float = 2.0, mutual_weight: float = 0.05) -> None:
        super().__init__()
        check_positive("alpha", alpha)
        check_at_least("correlation_weight", correlation_weight, 0)
        check_at_least("mutual_weight", mutual_weight, 0)
        self.alpha = alpha
        self.correlation_weight, self.mutual_weight = correlation_weight, mutual_weight
        self.student_linear: nn.Module = Unbuilt()

    def build(self, setup: Setup) -> None:
        self.student_linear = nn.Linear(*setup.embedding_sizes())

    def forward(self, student_embedding: Tensor, teacher_embedding: Tensor) -> Tensor:
        projected = self.student_linear(student_embedding)
        own = student_embedding if student_embedding.shape == teacher_embedding.shape else projected
        return itrd(
            own,
            teacher_embedding,
            projected,
            alpha=self.alpha,
            correlation_weight=self.correlation_weight,
            mutual_weight=self.mutual_weight,
        )
