"""Correlation congruence against the reference's numbers."""

import torch
from tests.objectives.golden import Golden

from limbeck.objectives import CC
from limbeck.objectives.functional import cc


def test_value_and_gradient_equal_the_reference() -> None:
    golden = Golden("cc")
    objective = CC(features=16)
    objective.build(golden.setup())
    for name in ("student_linear", "teacher_linear"):
        golden.linear(objective.get_submodule(name), name)
    golden.check(objective(**golden.inputs))


def test_a_single_image_has_no_neighbour() -> None:
    assert cc(torch.rand(1, 4), torch.rand(1, 4)) == 0
