"""Weighted soft labels: soft labels count less for images that the student has learned already."""

import torch.nn.functional as F
from torch import Tensor

from limbeck.objectives.checks import check_at_least, check_positive
from limbeck.objectives.logits import as_compared
from limbeck.objectives.objective import Objective


def wsld(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    temperature: float = 2.0,
    alpha: float = 2.5,
    hard: float = 1.0,
    standardise: bool = False,
) -> Tensor:
    """hard x CE(s, y) + alpha x T² x mean_i w_i CE(softmax(s / T), softmax(t / T)), w = 1 - exp(-CE(s, y) / CE(t, y)).

    The cross-entropy with the labels is part of the loss as published.

    Args:
        student_logits: s, [B, K].
        teacher_logits: t, [B, K]; receives no gradient.
        labels: y, int64 [B] in [0, K).
        temperature: T > 0.
        alpha: weight of the soft labels, >= 0.
        hard: weight of the labels, >= 0; 0 where `cross_entropy` is a term of its own.
        standardise: compare soft labels of logits at mean 0 and deviation 1.

    Source: Zhou, Song, Chen, Zhou, Wang, Yuan and Zhang, "Rethinking soft labels for knowledge distillation: a
    bias-variance tradeoff perspective", ICLR 2021.

    Example:
        >>> wsld(torch.zeros(1, 3), torch.tensor([[4.0, 0.0, 0.0]]), torch.tensor([0]))
        tensor(12.0847)
    """
    student, teacher = as_compared(student_logits, teacher_logits, standardise)
    soft = -((teacher / temperature).softmax(1) * F.log_softmax(student / temperature, dim=1)).sum(1)
    of_student = F.cross_entropy(student_logits, labels, reduction="none")
    of_teacher = F.cross_entropy(teacher_logits.detach(), labels, reduction="none")
    weight = 1 - (-of_student.detach() / (of_teacher + 1e-7)).exp()
    return hard * of_student.mean() + alpha * temperature**2 * (weight * soft).mean()


class WSLD(Objective):
    """`wsld` as a module.

    Args:
        temperature, alpha, hard, standardise: as for `wsld`; the defaults are those of the authors' code for ImageNet,
            which the CIFAR-100 benchmark took over.

    Source: https://github.com/bellymonster/Weighted-Soft-Label-Distillation
    """

    per_image = True

    def __init__(
        self, *, temperature: float = 2.0, alpha: float = 2.5, hard: float = 1.0, standardise: bool = False
    ) -> None:
        super().__init__()
        check_positive("temperature", temperature)
        check_at_least("alpha", alpha, 0)
        check_at_least("hard", hard, 0)
        self.temperature = temperature
        self.alpha = alpha
        self.hard = hard
        self.standardise = standardise

    def forward(self, student_logits: Tensor, teacher_logits: Tensor, labels: Tensor) -> Tensor:
        return wsld(
            student_logits,
            teacher_logits,
            labels,
            temperature=self.temperature,
            alpha=self.alpha,
            hard=self.hard,
            standardise=self.standardise,
        )
