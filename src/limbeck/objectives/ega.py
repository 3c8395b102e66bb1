"""Embedding graph alignment: correlations between images, and of every image with itself across networks."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limbeck.objectives.checks import check_at_least
from limbeck.objectives.objective import Objective
from limbeck.objectives.setup import Setup, Unbuilt


def ega(student_embedding: Tensor, teacher_embedding: Tensor, *, node: float = 1.0, edge: float = 0.3) -> Tensor:
    """node x |R_ts - I| + edge x |R_tt - R_ss|, with R [B, B] Pearson's correlations of embeddings, |.| Frobenius'.

    Args:
        student_embedding: [B, D].
        teacher_embedding: [B, D]; receives no gradient.
        node, edge: weights of the parts, >= 0.

    Source: Ma, Chen and Akata, "Distilling knowledge from self-supervised teacher by embedding graph alignment",
    BMVC 2022.

    Example:
        >>> ega(torch.eye(3), torch.eye(3))
        tensor(1.2247)
    """
    student, teacher = _centred(student_embedding), _centred(teacher_embedding.detach())
    across = teacher @ student.t()
    nodes = torch.linalg.matrix_norm(across - torch.eye(len(across), dtype=across.dtype, device=across.device))
    edges = torch.linalg.matrix_norm(teacher @ teacher.t() - student @ student.t())
    return node * nodes + edge * edges


def _centred(embedding: Tensor) -> Tensor:
    """Rows of mean 0 and length 1, whose products are correlations; a constant row becomes 0."""
    return F.normalize(embedding - embedding.mean(1, keepdim=True))


class EGA(Objective):
    """`ega`, after a learned linear projection of the student's embedding where the sizes differ.

    Args:
        node, edge: as for `ega`; with the weight of 0.8 they are the 0.8 and 0.24 of the authors' code.

    Source: https://github.com/yccm/EGA
    """

    def __init__(self, *, node: float = 1.0, edge: float = 0.3) -> None:
        super().__init__()
        check_at_least("node", node, 0)
        check_at_least("edge", edge, 0)
        self.node, self.edge = node, edge
        self.student_linear: nn.Module = Unbuilt()

    def build(self, setup: Setup) -> None:
        student, teacher = setup.embedding_sizes()
        self.student_linear = nn.Identity() if student == teacher else nn.Linear(student, teacher)

    def forward(self, student_embedding: Tensor, teacher_embedding: Tensor) -> Tensor:
        return ega(self.student_linear(student_embedding), teacher_embedding, node=self.node, edge=self.edge)
