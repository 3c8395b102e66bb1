"""FitNets' hint: one stage of the student, through a regressor, becomes the teacher's."""

import torch.nn.functional as F
from torch import Tensor, nn

from limbeck.objectives.objective import Objective
from limbeck.objectives.projectors import Regressor
from limbeck.objectives.setup import Setup, Unbuilt
from limbeck.objectives.stages import Stages, one_stage


def fitnet(student_stage: Tensor, teacher_stage: Tensor) -> Tensor:
    """Mean squared difference of two maps of one shape, the student's after its regressor.

    Args:
        student_stage: [B, C, H, W].
        teacher_stage: [B, C, H, W]; receives no gradient.

    Source: Romero, Ballas, Kahou, Chassang, Gatta and Bengio, "FitNets: hints for thin deep nets", ICLR 2015.

    Example:
        >>> fitnet(torch.zeros(1, 2, 4, 4), torch.ones(1, 2, 4, 4))
        tensor(1.)
    """
    return F.mse_loss(student_stage, teacher_stage.detach())


class FitNet(Objective):
    """`fitnet` on one stage, with a learned convolution and batch norm (`Regressor`) after the student's.

    Args:
        stage: which, 0 being the shallowest and -1 the deepest; 2 of the four of ResNets as published.
    """

    def __init__(self, *, stage: int = 2) -> None:
        super().__init__()
        self.stage = stage
        self.regressor: nn.Module = Unbuilt()

    def build(self, setup: Setup) -> None:
        student = one_stage("fitnet", setup.student.stages, self.stage, "student")
        self.regressor = Regressor(student, one_stage("fitnet", setup.teacher.stages, self.stage, "teacher"))

    def forward(self, student_stages: Stages, teacher_stages: Stages) -> Tensor:
        return fitnet(*self.regressor(student_stages[self.stage], teacher_stages[self.stage]))
