"""Softmax regression representation learning: the teacher's head must like the student's embedding."""

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from limbeck.models.layers import batch_normed
from limbeck.objectives.checks import check_choice
from limbeck.objectives.objective import FORMS, Objective
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


class MapTransfer(nn.Module):
    """A 1x1 convolution, batch norm and ReLU from the student's map [B, C, H, W] to the teacher's channels, then the
    mean over positions, [B, D]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, stage: Tensor) -> Tensor:
        return batch_normed(self.bn, self.conv(stage)).relu().mean((2, 3))


class SRRL(Objective):
    """`srrl` with a learned projection to the teacher's size and a frozen copy of the teacher's head.

    Norm and ReLU do not commute with pooling, so the order matters: the "authors" project the student's last map
    and then pool it; the "benchmark" of SimKD, whose CIFAR-100 numbers are the ones usually quoted, projects the
    embedding, which is pooled already.

    Args:
        form: "benchmark" or "authors"; published with weight 1 either way.

    Source: https://github.com/DefangChen/SimKD (the benchmark), https://github.com/jingyang2017/KD_SRRL (the authors).
    """

    reads_teacher_head = True

    def __init__(self, *, form: str = "benchmark") -> None:
        super().__init__()
        check_choice("form", form, FORMS)
        self.form = form
        self.transfer: nn.Module = Unbuilt()
        self.teacher_head: nn.Module = Unbuilt()

    def build(self, setup: Setup) -> None:
        assert setup.teacher.embedding is not None
        size = setup.teacher.embedding.shape[1]
        if self.form == "authors":
            assert setup.student.last_map is not None
            self.transfer = MapTransfer(setup.student.last_map.shape[1], size)
        else:
            self.transfer = Transfer(*setup.embedding_sizes())
        self.teacher_head = setup.frozen_head("srrl", inputs=size)

    @property
    def loss(self) -> Callable[..., Tensor]:
        return self.of_map if self.form == "authors" else self.of_embedding

    def forward(self, *args: Any, **signals: Any) -> Tensor:
        return self.loss(*args, **signals)

    def of_embedding(self, student_embedding: Tensor, teacher_embedding: Tensor, teacher_logits: Tensor) -> Tensor:
        return srrl(self.transfer(student_embedding), teacher_embedding, teacher_logits, self.teacher_head)

    def of_map(self, student_last_map: Tensor, teacher_embedding: Tensor, teacher_logits: Tensor) -> Tensor:
        return srrl(self.transfer(student_last_map), teacher_embedding, teacher_logits, self.teacher_head)
