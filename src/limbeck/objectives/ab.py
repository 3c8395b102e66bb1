"""Activation boundaries: the student's neurons are on and off where the teacher's are."""

import torch
from torch import Tensor, nn

from limbeck.objectives.checks import check_positive
from limbeck.objectives.objective import PREPARING, Objective, Preparation
from limbeck.objectives.projectors import Regressor, Unchanged
from limbeck.objectives.setup import Setup
from limbeck.objectives.stages import Stages, check_stages, pair, parse_stages


def ab(student_pre_activations: Stages, teacher_pre_activations: Stages, *, margin: float = 1.0) -> Tensor:
    """The sum over stages of 2^-(stages after it) x 3/1000 x the mean over images of the summed squared shortfall.

    A student's neuron falls short of the margin m by s + m where the teacher's is off and s > -m, by m - s where it is
    on and s <= m.

    Args:
        student_pre_activations: s, maps [B, C, H, W] before the activation, shallow to deep.
        teacher_pre_activations: as many maps of the same shapes; they receive no gradient.
        margin: m > 0.

    Source: Heo, Lee, Yun and Choi, "Knowledge transfer via distillation of activation boundaries formed by hidden
    neurons", AAAI 2019; the scale is that of the CRD benchmark.

    Example:
        >>> ab([torch.zeros(1, 2, 4, 4)], [torch.ones(1, 2, 4, 4)])
        tensor(0.0960)
    """
    losses = []
    for after, (student, teacher) in enumerate(
        zip(reversed(student_pre_activations), reversed(teacher_pre_activations), strict=True)
    ):
        side = torch.where(teacher > 0, -1.0, 1.0)
        shortfall = (margin + side * student).relu()
        losses.append(shortfall.square().sum() / len(student) * (3 / 1000) / 2**after)
    return torch.stack(losses).sum()


class AB(Objective):
    """`ab` on a range of stages, minimised alone before the student learns from the other terms.

    Where shapes differ, a learned convolution with batch norm after the student's stage brings them together.

    Args:
        margin: > 0.
        stages: which; "1:" leaves the stem out, as published.
        preparing: share of the run's steps, 0 <= share < 1; with 0 the loss is a term like any other. Its weight
            counts only then.
    """

    def __init__(self, *, margin: float = 1.0, stages: str = "1:", preparing: float = PREPARING) -> None:
        super().__init__()
        check_positive("margin", margin)
        self.margin = margin
        self.stages = parse_stages(stages)
        self.connectors = nn.ModuleList()
        self.preparation = Preparation(self.forward, preparing, only=True)

    def build(self, setup: Setup) -> None:
        check_stages("ab", setup, self.stages, part="pre_activations")
        pairs = zip(*pair(setup.student.pre_activations, setup.teacher.pre_activations, self.stages), strict=True)
        self.connectors = nn.ModuleList(
            Unchanged() if student.shape[1:] == teacher.shape[1:] else Regressor(student, teacher, relu=False)
            for student, teacher in pairs
        )

    def forward(self, student_pre_activations: Stages, teacher_pre_activations: Stages) -> Tensor:
        pairs = zip(*pair(student_pre_activations, teacher_pre_activations, self.stages), strict=True)
        connected = [connector(*stages) for connector, stages in zip(self.connectors, pairs, strict=True)]
        return ab([student for student, _ in connected], [teacher for _, teacher in connected], margin=self.margin)
