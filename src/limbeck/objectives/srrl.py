"""Softmax regression representation learning: the teacher's head must like the student's embedding."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from limbeck.models.batch_norm import batch_normed
from limbeck.objectives.objective import Objective
from limbeck.objectives.setup import Setup, Unbuilt


def srrl(
    student_embedding: Tensor, teacher_embedding: Tensor, teacher_logits: Tensor, head: Callable[[Tensor], Tensor]
) -> Tensor:
    """Mean squared difference of embeddings plus that of logits, the teacher's head being applied to both.

    Args:
        student_embedding: [B, D], projected to the teacher's size.
        teacher_embedding: [B, D]; receives no gradient.
        teacher_logits: [B, K]; receives no gradient.
        head: the teacher's classifier head, frozen, [B, D] to [B, K].

    Source: Yang, Martinez, Bulat and Tzimiropoulos, "Knowledge distillation via softmax regression representation
    learning", ICLR 2021.

    Example:
        >>> srrl(torch.zeros(1, 2), torch.ones(1, 2), torch.ones(1, 1), lambda x: x.sum(1, keepdim=True))
        tensor(2.)
    """
    features = F.mse_loss(student_embedding, teacher_embedding.detach())
    return features + F.mse_loss(head(student_embedding), teacher_logits.detach())


class Transfer(nn.Module):
    """A linear layer, batch norm and ReLU from the student's embedding to the teacher's size."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=False)
        self.bn = nn.BatchNorm1d(outputs)

    def forward(self, embedding: Tensor) -> Tensor:
        return batch_normed(self.bn, self.linear(embedding)).relu()


class SRRL(Objective):
    """`srrl` with a learned projection of the student's embedding and a frozen copy of the teacher's head."""

    reads_teacher_head = True

    def __init__(self) -> None:
        super().__init__()
        self.transfer: nn.Module = Unbuilt()
        self.teacher_head: nn.Module = Unbuilt()

    def build(self, setup: Setup) -> None:
        self.transfer = Transfer(*setup.embedding_sizes())
        self.teacher_head = setup.frozen_head("srrl")

    def forward(self, student_embedding: Tensor, teacher_embedding: Tensor, teacher_logits: Tensor) -> Tensor:
        return srrl(self.transfer(student_embedding), teacher_embedding, teacher_logits, self.teacher_head)
