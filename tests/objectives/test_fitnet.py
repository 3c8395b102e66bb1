"""Hints against the reference's numbers, with its regressor's weights."""

import pytest
import torch
from tests.objectives.golden import Golden

from limbeck.objectives import FitNet
from limbeck.objectives.projectors import Regressor


@pytest.mark.parametrize("geometry", ["down", "same", "up"])
def test_value_and_gradient_equal_the_reference(geometry: str) -> None:
    golden = Golden(f"fitnet_{geometry}")
    objective = FitNet(stage=0)
    objective.build(golden.setup())
    objective.regressor.load_state_dict(golden.parameters)
    golden.check(objective((golden.inputs["student_stage"],), (golden.inputs["teacher_stage"],)))


@pytest.mark.parametrize(
    ("student", "teacher"), [((10, 10), (4, 4)), ((3, 3), (8, 8)), ((4, 6), (2, 3)), ((5, 4), (4, 5))]
)
def test_any_two_sizes_meet(student: tuple[int, int], teacher: tuple[int, int]) -> None:
    a, b = torch.rand(2, 3, *student), torch.rand(2, 5, *teacher)
    mapped, target = Regressor(a, b)(a, b)
    assert mapped.shape == target.shape == (2, 5, *target.shape[2:])
