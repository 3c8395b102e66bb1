"""Embedding graph alignment against the reference's numbers."""

import torch
from tests.objectives.golden import Golden

from limbeck.objectives.functional import ega


def test_value_and_gradient_equal_the_reference() -> None:
    golden = Golden("ega", "extras")
    golden.check(ega(**golden.inputs))


def test_a_student_that_is_its_teacher_differs_only_between_images() -> None:
    x = torch.randn(5, 8)
    torch.testing.assert_close(ega(x, x, node=0.0), torch.zeros(()), atol=1e-5, rtol=0)
