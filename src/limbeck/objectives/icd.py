"""Discriminative and consistent distillation: find every image's own teacher embedding, the same way both ways."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limbeck.objectives.checks import check_at_least, check_count, check_positive
from limbeck.objectives.objective import Objective
from limbeck.objectives.setup import Setup, Unbuilt


def icd(
    student_embedding: Tensor, teacher_embedding: Tensor, scale: Tensor, bias: Tensor, *, alpha: float = 0.5
) -> Tensor:
    """CE(L, i = j) + alpha KL(softmax_i(L)' || softmax_j(L)) with L = scale x cosine(s_i, t_j) + bias, over the batch.

    The first part tells images apart, the second makes finding teachers by students agree with the reverse. Both
    embeddings are projected before; the teacher's projection learns too, so nothing is detached here.

    Args:
        student_embedding: s, [B, D].
        teacher_embedding: t, [B, D].
        scale: an inverse temperature > 0, [].
        bias: [].
        alpha: weight of consistency, >= 0.

    Source: Giakoumoglou and Stathaki, "Discriminative and consistent representation distillation", arXiv 2407.11802
    (2024); invariant consistency distillation (ICD) in its first version.

    Example:
        >>> icd(torch.eye(2), torch.eye(2), torch.tensor(2.0), torch.tensor(0.0))
        tensor(0.1269)
    """
    logits = F.normalize(student_embedding) @ F.normalize(teacher_embedding).t() * scale + bias
    contrastive = F.cross_entropy(logits, torch.arange(len(logits), device=logits.device))
    forth, back = F.log_softmax(logits, dim=1), F.log_softmax(logits, dim=0).t()
    return contrastive + alpha * F.kl_div(forth, back, reduction="batchmean", log_target=True)


class ICD(Objective):
    """`icd` after a learned linear projection of either embedding, with learned scale and bias.

    Args:
        features: size of the projections.
        alpha: as for `icd`.
        max_scale: the scale, the exponential of a parameter that starts at 1, never exceeds it; > 0.
    """

    def __init__(self, *, features: int = 128, alpha: float = 0.5, max_scale: float = 10.0) -> None:
        super().__init__()
        check_count("features", features)
        check_at_least("alpha", alpha, 0)
        check_positive("max_scale", max_scale)
        self.features = features
        self.alpha = alpha
        self.max_scale = max_scale
        self.log_scale = nn.Parameter(torch.ones(()))
        self.bias = nn.Parameter(torch.zeros(()))
        self.student_linear: nn.Module = Unbuilt()
        self.teacher_linear: nn.Module = Unbuilt()

    def build(self, setup: Setup) -> None:
        student, teacher = setup.embedding_sizes()
        self.student_linear = nn.Linear(student, self.features)
        self.teacher_linear = nn.Linear(teacher, self.features)

    def forward(self, student_embedding: Tensor, teacher_embedding: Tensor) -> Tensor:
        return icd(
            self.student_linear(student_embedding),
            self.teacher_linear(teacher_embedding.detach()),
            self.log_scale.exp().clamp_max(self.max_scale),
            self.bias,
            alpha=self.alpha,
        )
