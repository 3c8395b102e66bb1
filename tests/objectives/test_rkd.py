"""Relational distillation against the reference's numbers, and block by block against all at once."""

import pytest
import torch
from tests.objectives.golden import Golden
from torch import Tensor

from limbeck.objectives import rkd as module
from limbeck.objectives.functional import rkd
from limbeck.objectives.rkd import angles


def test_value_and_gradient_equal_the_reference() -> None:
    golden = Golden("rkd")
    golden.check(rkd(**golden.inputs))


def slow_angles(x: Tensor) -> Tensor:
    difference = x[None] - x[:, None]
    unit = torch.nn.functional.normalize(difference, dim=2)
    return unit @ unit.mT


@pytest.mark.parametrize("elements", [1, 200, 10**9])
def test_angles_in_blocks_equal_all_angles_at_once(elements: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ELEMENTS", elements)
    student = torch.randn(7, 5, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(7, 9, dtype=torch.float64)
    slow = torch.nn.functional.smooth_l1_loss(slow_angles(student), slow_angles(teacher))
    fast = angles(student, teacher)
    torch.testing.assert_close(fast, slow)
    torch.testing.assert_close(torch.autograd.grad(3 * fast, student), torch.autograd.grad(3 * slow, student))


def test_an_image_that_is_in_the_batch_twice_is_no_trouble() -> None:
    student = torch.randn(5, 4)
    student[3] = student[0]
    student.requires_grad_()
    rkd(student, torch.randn(5, 4)).backward()
    assert student.grad is not None
    assert student.grad.isfinite().all()
