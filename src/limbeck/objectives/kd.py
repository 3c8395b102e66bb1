"""Hinton's knowledge distillation: imitate the teacher's softened class probabilities."""

from torch import Tensor

from limbeck.objectives.checks import check_positive
from limbeck.objectives.logits import divergence
from limbeck.objectives.objective import Objective


def kd(
    student_logits: Tensor, teacher_logits: Tensor, *, temperature: float = 4.0, standardise: bool = False
) -> Tensor:
    """KL(softmax(t / T) || softmax(s / T)) x T², the mean over the batch, in nats.

    The factor T² keeps the gradient's size when the temperature changes. The divergence is summed over classes;
    averaging over them as well, a common slip, would make the weight depend on the number of classes.

    Args:
        student_logits: s, [B, K].
        teacher_logits: t, [B, K]; receives no gradient.
        temperature: T > 0.
        standardise: compare logits at mean 0 and deviation 1 (`limbeck.objectives.logits.standardised`).

    Source: Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network", arXiv 1503.02531 (2015).

    Example:
        >>> kd(torch.zeros(1, 2), torch.tensor([[4.0, 0.0]]), temperature=4.0)
        tensor(1.7751)
    """
    return divergence(student_logits, teacher_logits, temperature=temperature, standardise=standardise)


class KD(Objective):
    """`kd` as a module.

    Args:
        temperature: T > 0; 4 is the benchmarks' default.
        standardise: compare standardised logits; published with temperature 2 and weight 9 for most pairs of networks.
    """

    per_image = True

    def __init__(self, *, temperature: float = 4.0, standardise: bool = False) -> None:
        super().__init__()
        check_positive("temperature", temperature)
        self.temperature = temperature
        self.standardise = standardise

    def forward(self, student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
        return kd(student_logits, teacher_logits, temperature=self.temperature, standardise=self.standardise)
