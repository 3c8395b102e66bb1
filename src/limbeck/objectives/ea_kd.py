"""Entropy-based adaptive distillation: images of which teacher and student are unsure count more."""

import math

import torch.nn.functional as F
from torch import Tensor

from limbeck.objectives.checks import check_at_least, check_positive
from limbeck.objectives.logits import divergences
from limbeck.objectives.objective import Objective


def ea_kd(
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    temperature: float = 4.0,
    entropy_temperature: float = 3.0,
    entropy_bound: float = 0.0,
    standardise: bool = False,
) -> Tensor:
    """The mean over the batch of w x KL(softmax(t / T) || softmax(s / T)) x T² with w = (H_t + H_t H_s / H_max) / 2.

    Args:
        student_logits: s, [B, K].
        teacher_logits: t, [B, K]; receives no gradient.
        temperature: T > 0 of the divergence.
        entropy_temperature: > 0, that the entropies H_t and H_s (in nats) are computed at.
        entropy_bound: H_max in nats; 0 for log K, the largest entropy of K classes. The reference implementation has
            100 for CIFAR-100 with plain KD.
        standardise: compare logits at mean 0 and deviation 1; the entropies are those of the plain logits.

    Source: Su, Tseng, Pu, Zhao, Yang, Chen and Lee, "EA-KD: entropy-based adaptive knowledge distillation",
    arXiv 2311.13621 (2023).

    Example:
        >>> ea_kd(torch.zeros(1, 3), torch.tensor([[4.0, 0.0, 2.0]]))
        tensor(1.2112)
    """
    divergence = divergences(student_logits, teacher_logits, temperature=temperature, standardise=standardise)
    student, teacher = (_entropy(logits.detach() / entropy_temperature) for logits in (student_logits, teacher_logits))
    bound = entropy_bound or math.log(student_logits.shape[1])
    return (divergence * (teacher + teacher * student / bound) / 2).mean()


def _entropy(logits: Tensor) -> Tensor:
    log_probabilities = F.log_softmax(logits, dim=1)
    return -(log_probabilities.exp() * log_probabilities).sum(1)


class EAKD(Objective):
    """`ea_kd` as a module.

    Args:
        temperature, entropy_temperature, entropy_bound, standardise: as for `ea_kd`.
    """

    per_image = True

    def __init__(
        self,
        *,
        temperature: float = 4.0,
        entropy_temperature: float = 3.0,
        entropy_bound: float = 0.0,
        standardise: bool = False,
    ) -> None:
        super().__init__()
        check_positive("temperature", temperature)
        check_positive("entropy_temperature", entropy_temperature)
        check_at_least("entropy_bound", entropy_bound, 0)
        self.temperature = temperature
        self.entropy_temperature = entropy_temperature
        self.entropy_bound = entropy_bound
        self.standardise = standardise

    def forward(self, student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
        return ea_kd(
            student_logits,
            teacher_logits,
            temperature=self.temperature,
            entropy_temperature=self.entropy_temperature,
            entropy_bound=self.entropy_bound,
            standardise=self.standardise,
        )
