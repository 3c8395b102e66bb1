"""Flow of the solution procedure: how two stages in a row go together."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from limbeck.objectives.objective import PREPARING, Objective, Preparation
from limbeck.objectives.setup import Setup
from limbeck.objectives.stages import Stages, check_equal_channels, check_stages, pair, parse_stages, same_size


def fsp(student_stages: Stages, teacher_stages: Stages) -> Tensor:
    """The sum over neighbouring stages of the mean squared difference of student's and teacher's flow matrices.

    A flow matrix [B, C, C'] is A B' / HW with A [C, HW] and B [C', HW] two stages in a row, the larger of them pooled
    to the size of the smaller.

    Args:
        student_stages: at least two maps [B, C, H, W], shallow to deep.
        teacher_stages: as many maps of equal channels; they receive no gradient.

    Source: Yim, Joo, Bae and Kim, "A gift from knowledge distillation", CVPR 2017.

    Example:
        >>> fsp([torch.zeros(1, 2, 4, 4)] * 2, [torch.ones(1, 2, 4, 4)] * 2)
        tensor(1.)
    """
    flows = zip(_flows(student_stages), _flows([stage.detach() for stage in teacher_stages]), strict=True)
    losses = [(student - teacher).square().mean() for student, teacher in flows]
    return torch.stack(losses).sum()


def _flows(stages: Sequence[Tensor]) -> list[Tensor]:
    neighbours = (same_size(first, second) for first, second in pairwise(stages))
    return [a.flatten(2) @ b.flatten(2).mT / a[0, 0].numel() for a, b in neighbours]


class FSP(Objective):
    """`fsp` on a range of stages, minimised alone before the student learns from the other terms.

    Args:
        stages: which; "0:", all with the stem, as published.
        preparing: share of the run's steps, 0 <= share < 1; with 0 the loss is a term like any other. Its weight
            counts only then.
    """

    per_image = True

    def __init__(self, *, stages: str = "0:", preparing: float = PREPARING) -> None:
        super().__init__()
        self.stages = parse_stages(stages)
        self.preparation = Preparation(self.forward, preparing, only=True)

    def build(self, setup: Setup) -> None:
        check_stages("fsp", setup, self.stages, least=2)
        check_equal_channels("fsp", setup, self.stages)

    def forward(self, student_stages: Stages, teacher_stages: Stages) -> Tensor:
        return fsp(*pair(student_stages, teacher_stages, self.stages))
