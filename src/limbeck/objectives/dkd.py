"""Decoupled knowledge distillation: how sure the teacher is of the label, and what it thinks of the other classes."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from limbeck.objectives.checks import check_at_least, check_positive
from limbeck.objectives.logits import as_compared
from limbeck.objectives.objective import Objective


def dkd(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    alpha: float = 1.0,
    beta: float = 8.0,
    temperature: float = 4.0,
    standardise: bool = False,
) -> Tensor:
    """(alpha KL(b_t || b_s) + beta KL(q_t || q_s)) x T², the mean over the batch, in nats.

    b = (p_label, 1 - p_label) is the label against the rest, q the distribution over the other classes, both of
    softmax(z / T). Sums over classes are taken in log space: saturated logits have a finite loss and gradient.

    Args:
        student_logits: z_s, [B, K], K > 1.
        teacher_logits: z_t, [B, K]; receives no gradient.
        labels: int64 [B] in [0, K).
        alpha: weight of the label's part, >= 0.
        beta: weight of the other classes' part, >= 0; published between 2 and 8, by pair.
        temperature: T > 0.
        standardise: compare logits at mean 0 and deviation 1.

    Source: Zhao, Cui, Song, Qiu and Liang, "Decoupled knowledge distillation", CVPR 2022.

    Example:
        >>> dkd(torch.zeros(1, 3), torch.tensor([[4.0, 0.0, 2.0]]), torch.tensor([0]))
        tensor(4.8939)
    """
    student, teacher = as_compared(student_logits, teacher_logits, standardise)
    # Positions of all classes but the label, without a boolean mask, whose size a GPU would have to report.
    labels = labels[:, None]
    others = torch.arange(student.shape[1] - 1, device=student.device)
    others = others + (others >= labels)
    student_binary, student_others = _decoupled(student / temperature, labels, others)
    teacher_binary, teacher_others = _decoupled(teacher / temperature, labels, others)
    target = F.kl_div(student_binary, teacher_binary, reduction="batchmean", log_target=True)
    rest = F.kl_div(student_others, teacher_others, reduction="batchmean", log_target=True)
    return (alpha * target + beta * rest) * temperature**2


def _decoupled(logits: Tensor, label: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Logarithms of b [B, 2] and of q [B, K - 1], given the positions of the label and of the other classes."""
    log_probabilities = F.log_softmax(logits, dim=1)
    q = log_probabilities.gather(1, others)
    rest = q.logsumexp(1, keepdim=True)
    return torch.cat([log_probabilities.gather(1, label), rest], dim=1), q - rest


class DKD(Objective):
    """`dkd` as a module.

    Args:
        alpha, beta, temperature, standardise: as for `dkd`.
        warmup: share of the run over which the loss rises linearly to its full weight, 0 <= warmup; 20 of 240 epochs
            as published.
        warmup_levels: the loss rises in so many equal jumps, at the start of each; 0 for smoothly. As published it
            rises with every epoch, from 1/20 in the first on: 20 levels.
    """

    per_image = True

    def __init__(
        self,
        *,
        alpha: float = 1.0,
        beta: float = 8.0,
        temperature: float = 4.0,
        warmup: float = 20 / 240,
        warmup_levels: int = 0,
        standardise: bool = False,
    ) -> None:
        super().__init__()
        check_positive("temperature", temperature)
        for name, value in {"alpha": alpha, "beta": beta, "warmup": warmup}.items():
            check_at_least(name, value, 0)
        check_at_least("warmup_levels", warmup_levels, 0)
        self.alpha, self.beta = alpha, beta
        self.temperature = temperature
        self.warmup, self.warmup_levels = warmup, warmup_levels
        self.standardise = standardise

    def forward(self, student_logits: Tensor, teacher_logits: Tensor, labels: Tensor, progress: float = 1.0) -> Tensor:
        loss = dkd(
            student_logits,
            teacher_logits,
            labels,
            alpha=self.alpha,
            beta=self.beta,
            temperature=self.temperature,
            standardise=self.standardise,
        )
        return loss * self._warmed(progress)

    def _warmed(self, progress: float) -> float:
        """Share of its full weight that the loss has."""
        if progress >= self.warmup:
            return 1.0
        share = progress / self.warmup
        if self.warmup_levels:
            # A step that begins an epoch may come out a rounding error before it.
            share = (math.floor(share * self.warmup_levels + 1e-6) + 1) / self.warmup_levels
        return min(share, 1.0)
