"""Correlation congruence, in the form that the benchmarks run: differences of neighbours in the batch agree."""

from torch import Tensor, nn

from limbeck.objectives.checks import check_count
from limbeck.objectives.objective import Objective
from limbeck.objectives.setup import Setup, Unbuilt


def cc(student_embedding: Tensor, teacher_embedding: Tensor) -> Tensor:
    """The mean over i of d_i . d_(i+1), with d = |s - t| by element and images in the order of the batch.

    Both embeddings are projected before; the teacher's projection learns too, so nothing is detached here. A single
    image has no neighbour, and loss 0.

    Args:
        student_embedding: s, [B, D].
        teacher_embedding: t, [B, D].

    Source: Peng et al., "Correlation congruence for knowledge distillation", ICCV 2019; in the form of the CRD
    benchmark, whose code the authors gave.

    Example:
        >>> cc(torch.tensor([[1.0], [2.0], [4.0]]), torch.zeros(3, 1))
        tensor(5.)
    """
    difference = (student_embedding - teacher_embedding).abs()
    return (difference[:-1] * difference[1:]).sum() / max(1, len(difference) - 1)


class CC(Objective):
    """`cc` after a learned linear projection of either embedding.

    Args:
        features: size of the projections; 128 as published.
    """

    def __init__(self, *, features: int = 128) -> None:
        super().__init__()
        check_count("features", features)
        self.features = features
        self.student_linear: nn.Module = Unbuilt()
        self.teacher_linear: nn.Module = Unbuilt()

    def build(self, setup: Setup) -> None:
        student, teacher = setup.embedding_sizes()
        self.student_linear = nn.Linear(student, self.features)
        self.teacher_linear = nn.Linear(teacher, self.features)

    def forward(self, student_embedding: Tensor, teacher_embedding: Tensor) -> Tensor:
        return cc(self.student_linear(student_embedding), self.teacher_linear(teacher_embedding.detach()))
