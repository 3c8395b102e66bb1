"""Semantic calibration: every stage of the student learns from all of the teacher's, by attention."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limbeck.models.layers import batch_normed
from limbeck.objectives.checks import check_positive
from limbeck.objectives.objective import Objective
from limbeck.objectives.setup import Setup
from limbeck.objectives.stages import Stages, check_stages, parse_stages, same_size


def semckd(differences: Tensor, attention: Tensor) -> Tensor:
    """The mean over images and stages of the student of sum_t attention_st x difference_st.

    Args:
        differences: mean squared differences of the projected stages, [B, S, T].
        attention: how much stage s learns from stage t, [B, S, T], sums of 1 over T.

    Source: Chen, Mei, Zhang, Wang, Wang, Feng and Chen, "Cross-layer distillation with semantic calibration",
    AAAI 2021.

    Example:
        >>> semckd(torch.ones(4, 3, 2), torch.full((4, 3, 2), 0.5))
        tensor(1.)
    """
    return (attention * differences).sum(2).mean()


class Embedding(nn.Module):
    """Two linear layers that turn a row of similarities into a query or a key of length 1."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        outputs = max(1, inputs // 4)
        self.linear1 = nn.Linear(inputs, 2 * outputs)
        self.linear2 = nn.Linear(2 * outputs, outputs)

    def forward(self, similarities: Tensor) -> Tensor:
        return F.normalize(self.linear2(self.linear1(similarities).relu()))


class Projection(nn.Module):
    """1x1, 3x3 and 1x1 convolutions from the student's channels to the teacher's."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, 2 * outputs, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(2 * outputs)
        self.conv2 = nn.Conv2d(2 * outputs, 2 * outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(2 * outputs)
        self.conv3 = nn.Conv2d(2 * outputs, outputs, 1, bias=False)

    def forward(self, stage: Tensor) -> Tensor:
        stage = batch_normed(self.bn1, self.conv1(stage)).relu()
        return self.conv3(batch_normed(self.bn2, self.conv2(stage)).relu())


class SemCKD(Objective):
    """`semckd` on a range of stages, with learned projections and attention.

    Queries and keys are made from the similarities of the images of a batch, so their layers are as wide as the batch
    of the run; a smaller batch is filled up with zeros, a larger one is taken in parts.

    Args:
        stages: which of either network; "1:" leaves the stem out, as published.
        softness: divides the attention's logits, > 0.
    """

    def __init__(self, *, stages: str = "1:", softness: float = 1.0) -> None:
        super().__init__()
        check_positive("softness", softness)
        self.stages = parse_stages(stages)
        self.softness = softness
        self.batch_size = 0
        self.queries, self.keys, self.projections = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()

    def build(self, setup: Setup) -> None:
        check_stages("semckd", setup, self.stages)
        students, teachers = setup.student.stages[self.stages], setup.teacher.stages[self.stages]
        self.batch_size = setup.batch_size
        self.queries = nn.ModuleList(Embedding(setup.batch_size) for _ in students)
        self.keys = nn.ModuleList(Embedding(setup.batch_size) for _ in teachers)
        self.projections = nn.ModuleList(
            Projection(student.shape[1], teacher.shape[1]) for student in students for teacher in teachers
        )

    def forward(self, student_stages: Stages, teacher_stages: Stages) -> Tensor:
        students = list(student_stages[self.stages])
        teachers = [stage.detach() for stage in teacher_stages[self.stages]]
        return semckd(self._differences(students, teachers), self._attention(students, teachers))

    def _differences(self, students: Stages, teachers: Stages) -> Tensor:
        pairs = [(student, teacher) for student in students for teacher in teachers]
        differences = []
        for projection, (student, teacher) in zip(self.projections, pairs, strict=True):
            student, teacher = same_size(student, teacher)
            differences.append((projection(student) - teacher).square().flatten(1).mean(1))
        return torch.stack(differences, dim=1).unflatten(1, (len(students), len(teachers)))

    def _attention(self, students: Stages, teachers: Stages) -> Tensor:
        queries = [layer(self._similarities(stage)) for layer, stage in zip(self.queries, students, strict=True)]
        keys = [layer(self._similarities(stage)) for layer, stage in zip(self.keys, teachers, strict=True)]
        return (torch.stack(queries, dim=1) @ torch.stack(keys, dim=2) / self.softness).softmax(2)

    def _similarities(self, stage: Tensor) -> Tensor:
        """Inner products of every image's stage with those of its part of the batch, [B, batch size]."""
        parts = stage.flatten(1).split(self.batch_size)
        return torch.cat([F.pad(part @ part.t(), (0, self.batch_size - len(part))) for part in parts])
