"""SSD-KD's small prioritised repository: images that the student has learned leave it."""

import torch
from torch import Tensor

from limbeck.errors import UserError


def gaps(teacher_logits: Tensor, student_logits: Tensor) -> Tensor:
    """How far a student is from the teacher on each image: KL(softmax teacher || softmax student), float32 [n].

    Args:
        teacher_logits: [n, K].
        student_logits: [n, K].

    Example:
        >>> gaps(torch.tensor([[2.0, 0.0], [0.0, 2.0]]), torch.tensor([[2.0, 0.0], [2.0, 0.0]]))
        tensor([0.0000, 1.5232])
    """
    if teacher_logits.shape != student_logits.shape:
        raise UserError(
            f"`student_logits` must be {list(teacher_logits.shape)}, as the teacher's, got "
            f"{list(student_logits.shape)}."
        )
    teacher, student = (one.detach().float().log_softmax(dim=1) for one in (teacher_logits, student_logits))
    return (teacher.exp() * (teacher - student)).sum(dim=1).clamp_min(0)


def learned(gaps: Tensor, images: int) -> Tensor:
    """Places of those that are too many, the smallest gaps first, of equal ones the oldest: int64 [max(0, n - images)].

    Args:
        gaps: of n images, [n], the oldest first.
        images: that may stay.

    Example:
        >>> learned(torch.tensor([0.3, 0.1, 0.9, 0.1]), 2)
        tensor([1, 3])
    """
    return torch.argsort(gaps, stable=True)[: max(0, len(gaps) - images)]
