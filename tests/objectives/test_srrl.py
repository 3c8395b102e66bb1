"""Softmax regression: the teacher's head on the student's embedding."""

import torch
from tests.objectives.pairs import Pair

from limbeck.objectives.functional import srrl


def test_by_hand() -> None:
    head = torch.nn.Linear(3, 2)
    student, teacher = torch.randn(4, 3), torch.randn(4, 3)
    expected = (student - teacher).square().mean() + (head(student) - head(teacher)).square().mean()
    torch.testing.assert_close(srrl(student, teacher, head(teacher), head), expected)


def test_the_head_is_the_teachers_and_stays() -> None:
    pair = Pair()
    objective = pair.build("srrl").objectives()["srrl"]
    head = objective.get_submodule("teacher_head")
    assert pair.setup.teacher_head is not None
    assert head is not pair.setup.teacher_head
    for key, value in pair.setup.teacher_head.state_dict().items():
        assert torch.equal(head.state_dict()[key], value)
    assert not any(one.requires_grad for one in head.parameters())
