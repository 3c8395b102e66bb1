"""Multi-level logit distillation: single predictions, relations of images and relations of classes, at many
temperatures."""

import torch
from torch import Tensor

from limbeck.objectives.checks import check_positive
from limbeck.objectives.logits import divergence
from limbeck.objectives.objective import Objective

OTHER_TEMPERATURES = (2.0, 3.0, 5.0, 6.0)
"""The published set, beside the temperature that is an option."""


def mlkd(
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    temperature: float = 4.0,
    confident: bool = False,
    standardise: bool = False,
) -> Tensor:
    """The sum over temperatures T of T² KL(p_t || p_s) + |P_t P_t' - P_s P_s'|² / B + |P_t' P_t - P_s' P_s|² / K.

    P [B, K] holds softmax(z / T) of the batch, p one row of it; P P' relates images, P' P classes.

    This is the method's loss on one view of every image. As published there are two, a weak and a strong one, and the
    labels teach both: of the weak view all three parts count, at the shares of `confident`; of the strong one the first
    part alone, which in the reference implementation takes the strong view at T, 3 and 5 and the weak one again at 2
    and 6. The published runs of 480 epochs at half the learning rate are therefore not repeated to the letter.

    Args:
        student_logits: [B, K].
        teacher_logits: [B, K]; receives no gradient.
        temperature: T > 0, beside 2, 3, 5 and 6.
        confident: as the reference implementation does for its weak view, scale the first two parts by the share of
            images whose top probability is at or below the batch's median, and the third by the same of classes.
        standardise: logits at mean 0 and deviation 1 in the first part, as published; the others compare plain ones.

    Source: Jin, Wang and Lin, "Multi-level logit distillation", CVPR 2023; the share in place of a mask:
    https://github.com/sunshangquan/logit-standardization-KD

    Example:
        >>> mlkd(torch.zeros(2, 3), torch.tensor([[4.0, 0.0, 2.0], [0.0, 4.0, 0.0]]))
        tensor(8.1096)
    """
    teacher_logits = teacher_logits.detach()
    images, classes = _shares(teacher_logits) if confident else (1.0, 1.0)
    total = student_logits.new_zeros(())
    for current in (temperature, *OTHER_TEMPERATURES):
        student, teacher = (student_logits / current).softmax(1), (teacher_logits / current).softmax(1)
        single = divergence(student_logits, teacher_logits, temperature=current, standardise=standardise)
        batch = (teacher @ teacher.t() - student @ student.t()).square().sum() / len(student)
        between = (teacher.t() @ teacher - student.t() @ student).square().sum() / student.shape[1]
        total = total + images * (single + batch) + classes * between
    return total


def _shares(teacher_logits: Tensor) -> tuple[Tensor, Tensor]:
    """Shares of images and of classes at or below the median of what the teacher gives them."""
    probabilities = teacher_logits.float().softmax(1)
    values = probabilities.amax(1), probabilities.sum(0)
    first, second = ((value <= torch.quantile(value, 0.5)).float().mean() for value in values)
    return first, second


class MLKD(Objective):
    """`mlkd` as a module.

    Args:
        temperature, confident, standardise: as for `mlkd`.
    """

    def __init__(self, *, temperature: float = 4.0, confident: bool = False, standardise: bool = False) -> None:
        super().__init__()
        check_positive("temperature", temperature)
        self.temperature = temperature
        self.confident = confident
        self.standardise = standardise

    def forward(self, student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
        return mlkd(
            student_logits,
            teacher_logits,
            temperature=self.temperature,
            confident=self.confident,
            standardise=self.standardise,
        )
