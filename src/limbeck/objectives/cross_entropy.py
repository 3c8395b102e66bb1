"""Cross-entropy with the labels: learning without a teacher, or beside one."""

import torch.nn.functional as F
from torch import Tensor

from limbeck.errors import UserError
from limbeck.objectives.objective import Objective


def cross_entropy(student_logits: Tensor, labels: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy between labels and the student's prediction, in nats.

    Args:
        student_logits: [B, K].
        labels: int64 [B] in [0, K), or probabilities, float [B, K], as of mixtures of images.
        label_smoothing: share of the target spread evenly over all classes, 0 <= s < 1.

    Example:
        >>> cross_entropy(torch.zeros(1, 10), torch.tensor([3]))
        tensor(2.3026)
    """
    return F.cross_entropy(student_logits, labels, label_smoothing=label_smoothing)


class CrossEntropy(Objective):
    """`cross_entropy` as a module.

    Args:
        label_smoothing: 0 <= s < 1. Source: Szegedy et al., "Rethinking the Inception architecture for computer
            vision", CVPR 2016.
    """

    per_image = True
    mixed_labels = True

    def __init__(self, *, label_smoothing: float = 0.0) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise UserError(f"`label_smoothing` must be at least 0 and below 1, got {label_smoothing}.")
        self.label_smoothing = label_smoothing

    def forward(self, student_logits: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(student_logits, labels, label_smoothing=self.label_smoothing)
