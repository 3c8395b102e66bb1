"""SimKD: the student's last stage becomes the teacher's, whose head then classifies for it."""

import torch.nn.functional as F
from torch import Tensor, nn

from limbeck.objectives.checks import check_count
from limbeck.objectives.objective import Objective
from limbeck.objectives.projectors import batch_normed
from limbeck.objectives.setup import Setup, Unbuilt
from limbeck.objectives.stages import Stages, same_size


def simkd(student_stage: Tensor, teacher_stage: Tensor) -> Tensor:
    """Mean squared difference of two maps of one shape, the student's after its projector.

    Args:
        student_stage: [B, C, H, W].
        teacher_stage: [B, C, H, W]; receives no gradient.

    Source: Chen, Mei, Zhang, Wang, Feng and Chen, "Knowledge distillation with the reused teacher classifier",
    CVPR 2022.

    Example:
        >>> simkd(torch.zeros(1, 2, 4, 4), torch.ones(1, 2, 4, 4))
        tensor(1.)
    """
    return F.mse_loss(student_stage, teacher_stage.detach())


class Projector(nn.Module):
    """1x1, 3x3 and 1x1 convolutions, narrower inside by `factor`, each with batch norm and ReLU."""

    def __init__(self, inputs: int, outputs: int, factor: int) -> None:
        super().__init__()
        inner = max(1, outputs // factor)
        sizes = ((inputs, inner, 1), (inner, inner, 3), (inner, outputs, 1))
        self.convs = nn.ModuleList(nn.Conv2d(a, b, side, padding=side // 2, bias=False) for a, b, side in sizes)
        self.norms = nn.ModuleList(nn.BatchNorm2d(b) for _, b, _ in sizes)

    def forward(self, stage: Tensor) -> Tensor:
        for conv, norm in zip(self.convs, self.norms, strict=True):
            assert isinstance(norm, nn.BatchNorm2d)
            stage = batch_normed(norm, conv(stage)).relu()
        return stage


class SimKD(Objective):
    """`simkd` on the deepest stage, with a learned projector and a frozen copy of the teacher's head.

    As published the student then classifies by `reused`, through projector and teacher's head, at the cost of the
    projector. Its own head is taught by other terms alone: to keep the student's architecture, add `cross_entropy` or
    `kd`.

    Args:
        factor: how much narrower the projector is inside, a whole number >= 1.
    """

    reads_teacher_head = True

    def __init__(self, *, factor: int = 2) -> None:
        super().__init__()
        check_count("factor", factor)
        self.factor = factor
        self.size = (1, 1)
        self.projector: nn.Module = Unbuilt()
        self.teacher_head: nn.Module = Unbuilt()

    def build(self, setup: Setup) -> None:
        student, teacher = setup.student.stages[-1], setup.teacher.stages[-1]
        self.size = (teacher.shape[2], teacher.shape[3])
        self.projector = Projector(student.shape[1], teacher.shape[1], self.factor)
        self.teacher_head = setup.frozen_head("simkd", inputs=teacher.shape[1])

    def forward(self, student_stages: Stages, teacher_stages: Stages) -> Tensor:
        student, teacher = same_size(student_stages[-1], teacher_stages[-1])
        return simkd(self.projector(student), teacher)

    def reused(self, student_stage: Tensor) -> Tensor:
        """Logits [B, K] by the teacher's head for the student's deepest stage [B, C, H, W]."""
        smaller = min(student_stage.shape[2], self.size[0]), min(student_stage.shape[3], self.size[1])
        mapped = self.projector(F.adaptive_avg_pool2d(student_stage, smaller))
        return self.teacher_head(mapped.mean((2, 3)))
