"""What the losses on logits share: standardisation, which is an option of each, and the divergence of two softmaxes."""

import torch
import torch.nn.functional as F
from torch import Tensor


def standardised(logits: Tensor) -> Tensor:
    """Every image's logits at mean 0 and standard deviation 1: (z - mean) / (std + 1e-7).

    The student then need not match the teacher's range of logits, only their order and shape. Published with
    temperature 2 and 9 times the weight.

    Args:
        logits: [B, K], K > 1.

    Source: Sun, Ren, Li, Wang and Cao, "Logit standardization in knowledge distillation", CVPR 2024.

    Example:
        >>> standardised(torch.tensor([[1.0, 2.0, 3.0]]))
        tensor([[-1.0000,  0.0000,  1.0000]])
    """
    return (logits - logits.mean(1, keepdim=True)) / (logits.std(1, keepdim=True) + 1e-7)


def as_compared(student_logits: Tensor, teacher_logits: Tensor, standardise: bool) -> tuple[Tensor, Tensor]:
    """Both logits as a loss compares them, at least float32, the teacher's without a graph."""
    student_logits, teacher_logits = at_least_float32(student_logits), at_least_float32(teacher_logits.detach())
    if standardise:
        return standardised(student_logits), standardised(teacher_logits)
    return student_logits, teacher_logits


def at_least_float32(logits: Tensor) -> Tensor:
    """The logits in float32, or in their own type where that is wider."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def divergence(student_logits: Tensor, teacher_logits: Tensor, *, temperature: float, standardise: bool) -> Tensor:
    """KL(softmax(t / T) || softmax(s / T)) x T², the mean over images, in nats."""
    student, teacher = _softened(student_logits, teacher_logits, temperature, standardise)
    return F.kl_div(student, teacher, reduction="batchmean", log_target=True) * temperature**2


def divergences(student_logits: Tensor, teacher_logits: Tensor, *, temperature: float, standardise: bool) -> Tensor:
    """`divergence` of every image, [B]."""
    student, teacher = _softened(student_logits, teacher_logits, temperature, standardise)
    return F.kl_div(student, teacher, reduction="none", log_target=True).sum(1) * temperature**2


def _softened(
    student_logits: Tensor, teacher_logits: Tensor, temperature: float, standardise: bool
) -> tuple[Tensor, Tensor]:
    """Logarithms of the probabilities at a temperature."""
    student, teacher = as_compared(student_logits, teacher_logits, standardise)
    return F.log_softmax(student / temperature, dim=1), F.log_softmax(teacher / temperature, dim=1)
