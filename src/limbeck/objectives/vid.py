"""Variational information distillation: a Gaussian over the teacher's stage, predicted from the student's."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limbeck.errors import UserError
from limbeck.objectives.checks import check_finite
from limbeck.objectives.objective import Objective
from limbeck.objectives.setup import Setup
from limbeck.objectives.stages import Stages, check_stages, pair, parse_stages, same_size


def vid(predicted: Tensor, variance: Tensor, teacher_stage: Tensor) -> Tensor:
    """The mean of (t - m)² / 2v + log(v) / 2: the negative log-likelihood of a Gaussian, less a constant.

    Args:
        predicted: m, [B, C, H, W], from the student's stage.
        variance: v > 0 of every channel, [C].
        teacher_stage: t, [B, C, H, W]; receives no gradient.

    Source: Ahn, Hu, Damianou, Lawrence and Dai, "Variational information distillation for knowledge transfer",
    CVPR 2019.

    Example:
        >>> vid(torch.zeros(1, 2, 4, 4), torch.ones(2), torch.ones(1, 2, 4, 4))
        tensor(0.5000)
    """
    error = (predicted - teacher_stage.detach()).square().mean(dim=(0, 2, 3))
    return 0.5 * (error / variance + variance.log()).mean()


class Predictor(nn.Module):
    """`vid` for one pair of stages: three 1x1 convolutions for the mean, one free variance a channel.

    Args:
        inputs, outputs: channels of the student's and of the teacher's stage.
        variance: at the start.
        least: that the variance never falls below, for the logarithm's sake.
    """

    def __init__(self, inputs: int, outputs: int, *, variance: float = 5.0, least: float = 1e-5) -> None:
        super().__init__()
        self.regressor = nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 1, bias=False),
        )
        # Softplus gives the variance back; without its exponential, which overflows.
        start = variance - least + math.log(-math.expm1(least - variance))
        self.log_scale = nn.Parameter(torch.full((outputs,), start))
        self.least = least

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        student, teacher = same_size(student, teacher)
        return vid(self.regressor(student), F.softplus(self.log_scale) + self.least, teacher)


class VID(Objective):
    """The sum of `vid` over a range of stages.

    Args:
        stages: which; "1:" leaves the stem out, as published.
        variance: at the start, > 1e-5.
    """

    per_image = True

    def __init__(self, *, stages: str = "1:", variance: float = 5.0) -> None:
        super().__init__()
        check_finite("variance", variance)
        if not variance > 1e-5:
            raise UserError(f"`variance` must be > 1e-5, got {variance}.")
        self.stages = parse_stages(stages)
        self.variance = variance
        self.predictors = nn.ModuleList()

    def build(self, setup: Setup) -> None:
        check_stages("vid", setup, self.stages)
        students, teachers = pair(setup.student.stages, setup.teacher.stages, self.stages)
        self.predictors = nn.ModuleList(
            Predictor(student.shape[1], teacher.shape[1], variance=self.variance)
            for student, teacher in zip(students, teachers, strict=True)
        )

    def forward(self, student_stages: Stages, teacher_stages: Stages) -> Tensor:
        pairs = zip(self.predictors, *pair(student_stages, teacher_stages, self.stages), strict=True)
        return torch.stack([predictor(student, teacher) for predictor, student, teacher in pairs]).sum()
