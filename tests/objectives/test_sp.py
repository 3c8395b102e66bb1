"""Similarity-preserving distillation against the reference's numbers."""

import torch
from tests.objectives.golden import Golden

from limbeck.objectives import SP
from limbeck.objectives.functional import sp


def test_value_and_gradient_equal_the_reference() -> None:
    golden = Golden("sp")
    golden.check(sp(golden.stages("student"), golden.stages("teacher")))


def test_stages_add_up_and_the_deepest_is_the_default() -> None:
    golden = Golden("sp")
    students, teachers = golden.stages("student"), golden.stages("teacher")
    alone = [sp([s], [t]).item() for s, t in zip(students, teachers, strict=True)]
    torch.testing.assert_close(torch.tensor(alone), golden.results["per_stage"])
    assert SP()(students, teachers).item() == alone[-1]
