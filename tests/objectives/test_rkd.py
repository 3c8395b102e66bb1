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
    monkeypatch.setitem(module._ELEMENTS, "cpu", elements)
    student = torch.randn(7, 5, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(7, 9, dtype=torch.float64)
    slow = torch.nn.functional.smooth_l1_loss(slow_angles(student), slow_angles(teacher))
    fast = angles(student, teacher)
    torch.testing.assert_close(fast, slow)
    torch.testing.assert_close(torch.autograd.grad(3 * fast, student), torch.autograd.grad(3 * slow, student))


@pytest.mark.parametrize(("near", "offset"), [(1e-2, 0.0), (1e-4, 0.0), (1e-4, 100.0)])
def test_images_that_are_almost_alike_lose_no_digits(near: float, offset: float) -> None:
    student, teacher = torch.randn(16, 8) + offset, torch.randn(16, 8) + offset
    student[1], teacher[3] = student[0] + near * torch.randn(8), teacher[2] + near * torch.randn(8)
    exact = student.double().requires_grad_()
    slow = torch.nn.functional.smooth_l1_loss(slow_angles(exact), slow_angles(teacher.double()))
    fast = angles(student.requires_grad_(), teacher)
    assert fast.item() == pytest.approx(slow.item(), rel=1e-5)
    (grad,), (expected,) = torch.autograd.grad(fast, student), torch.autograd.grad(slow, exact)
    assert (grad - expected).abs().max() < 1e-5 * expected.abs().max()


def test_an_image_that_is_in_the_batch_twice_is_no_trouble() -> None:
    student = torch.randn(5, 4)
    student[3] = student[0]
    student.requires_grad_()
    rkd(student, torch.randn(5, 4)).backward()
    assert student.grad is not None
    assert student.grad.isfinite().all()


def test_distances_of_images_that_are_almost_alike_lose_no_digits() -> None:
    generator = torch.Generator().manual_seed(0)
    base, teacher = torch.randn(4, 16, generator=generator), torch.randn(8, 16, generator=generator)
    student = torch.cat([base, base + 3e-4 * torch.randn(4, 16, generator=generator)])  # as mixtures of the same two
    grads = []
    for dtype in (torch.float32, torch.float64):
        leaf = student.detach().clone().to(dtype).requires_grad_()
        rkd(leaf, teacher.to(dtype), angle=0.0).backward()
        assert leaf.grad is not None
        grads.append(leaf.grad.double())
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-5, atol=1e-6)
