"""DIST: agree with a strong teacher in relations between classes and between images, not in exact probabilities."""

import torch
from torch import Tensor

from limbeck.objectives.checks import check_at_least, check_positive
from limbeck.objectives.logits import as_compared
from limbeck.objectives.objective import Objective


def dist(
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    beta: float = 1.0,
    gamma: float = 1.0,
    temperature: float = 4.0,
    standardise: bool = False,
) -> Tensor:
    """beta (1 - mean_i r(p_s[i], p_t[i])) + gamma (1 - mean_k r(p_s[:, k], p_t[:, k])), times T²; r is Pearson's.

    The first part correlates the class probabilities of every image, the second the probabilities of every class over
    the batch; a correlation is blind to scale and shift, so the student need not be as sure as the teacher.

    Args:
        student_logits: [B, K].
        teacher_logits: [B, K]; receives no gradient.
        beta, gamma: weights of the parts between classes and between images, >= 0.
        temperature: T > 0 of the softmax; published are 4 for CIFAR-100 and 1 for ImageNet.
        standardise: compare logits at mean 0 and deviation 1.

    Source: Huang, You, Wang, Qian and Xu, "Knowledge distillation from a stronger teacher", NeurIPS 2022.

    Example:
        >>> dist(torch.eye(3), torch.eye(3).flip(0))
        tensor(32.)
    """
    student, teacher = as_compared(student_logits, teacher_logits, standardise)
    student, teacher = (student / temperature).softmax(1), (teacher / temperature).softmax(1)
    between_classes = 1 - _pearson(student, teacher).mean()
    between_images = 1 - _pearson(student.t(), teacher.t()).mean()
    return (beta * between_classes + gamma * between_images) * temperature**2


def _pearson(a: Tensor, b: Tensor) -> Tensor:
    """Correlation of the rows of two matrices; 0 where a row is constant."""
    a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    norms = torch.linalg.vector_norm(a, dim=1) * torch.linalg.vector_norm(b, dim=1)
    return (a * b).sum(1) / (norms + 1e-8)


class DIST(Objective):
    """`dist` as a module.

    Args:
        beta, gamma, temperature, standardise: as for `dist`; published are beta = gamma = 1 with weight 2.

    Source: https://github.com/hunto/DIST_KD
    """

    def __init__(
        self, *, beta: float = 1.0, gamma: float = 1.0, temperature: float = 4.0, standardise: bool = False
    ) -> None:
        super().__init__()
        check_positive("temperature", temperature)
        check_at_least("beta", beta, 0)
        check_at_least("gamma", gamma, 0)
        self.beta, self.gamma = beta, gamma
        self.temperature = temperature
        self.standardise = standardise

    def forward(self, student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
        return dist(
            student_logits,
            teacher_logits,
            beta=self.beta,
            gamma=self.gamma,
            temperature=self.temperature,
            standardise=self.standardise,
        )
