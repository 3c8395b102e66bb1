"""SimKD: projector and the teacher's head."""

import torch
from tests.objectives.pairs import Pair, outputs

from limbeck.objectives import SimKD


def test_a_projector_that_copies_the_teacher_answers_as_the_teacher() -> None:
    pair = Pair("resnet8", "wrn_16_1")
    objective = pair.build("simkd").objectives()["simkd"]
    assert isinstance(objective, SimKD)
    teacher = outputs("wrn_16_1")[0]
    objective.projector = torch.nn.Identity()
    assert objective(teacher.stages, teacher.stages) == 0
    torch.testing.assert_close(objective.reused(teacher.stages[-1]), teacher.logits)


def test_sizes_that_differ_are_pooled() -> None:
    pair = Pair("resnet8", "ResNet50")
    objective = pair.build("simkd").objectives()["simkd"]
    assert isinstance(objective, SimKD)
    assert objective.reused(outputs("resnet8")[0].stages[-1]).shape == (6, 10)
