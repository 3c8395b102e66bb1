"""Hinton's knowledge distillation: imitate the teacher's softened class probabilities."""

import torch.nn.functional as F
from torch import Tensor

from limbeck.objectives.objective import Objective, check_temperature


def kd(student_logits: Tensor, teacher_logits: Tensor, *, temperature: float = 4.0) -> Tensor:
    """KL(softmax(t / T) || softmax(s / T)) x T², the mean over the batch, in nats.

    The factor T² keeps the gradient's size when the temperature changes. The divergence is summed over classes;
    averaging over them as well, a common slip, would make the weight depend on the number of classes.

    Args:
        student_logits: s, [B, K].
        teacher_logits: t, [B, K]; receives no gradient.
        temperature: T > 0.

    Source: Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network", arXiv 1503.02531 (2015).

    Example:
        >>> kd(torch.zeros(1, 2), torch.tensor([[4.0, 0.0]]), temperature=4.0)
        tensor(1.7751)
    """
    student = F.log_softmax(student_logits / temperature, dim=1)
    teacher = F.log_softmax(teacher_logits.detach() / temperature, dim=1)
    return F.kl_div(student, teacher, reduction="batchmean", log_target=True) * temperature**2


class KD(Objective):
    """`kd` as a module.

    Args:
        temperature: T > 0; 4 is the benchmarks' default.
    """

    def __init__(self, *, temperature: float = 4.0) -> None:
        super().__init__()
        check_temperature(temperature)
        self.temperature = temperature

    def forward(self, student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
        return kd(student_logits, teacher_logits, temperature=self.temperature)
