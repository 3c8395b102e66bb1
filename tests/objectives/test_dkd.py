"""Decoupled distillation: equal to the classical loss where it must be, and finite where log of sums is not."""

import pytest
import torch

from limbeck.errors import UserError
from limbeck.objectives import DKD
from limbeck.objectives.functional import dkd, kd


def test_the_parts_add_up_to_the_classical_loss() -> None:
    """KL = KL of the label's share + (1 - the teacher's share of the label) x KL of the rest."""
    student, teacher, labels = torch.randn(1, 6), torch.randn(1, 6), torch.tensor([2])
    rest = 1 - (teacher / 4).softmax(1)[0, 2].item()
    torch.testing.assert_close(dkd(student, teacher, labels, alpha=1, beta=rest), kd(student, teacher))


def test_plain_form() -> None:
    student = torch.randn(5, 7, requires_grad=True)
    teacher, labels = torch.randn(5, 7), torch.tensor([0, 6, 3, 3, 1])
    own = torch.nn.functional.one_hot(labels, 7).bool()

    def shares(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        p = (logits / 4).softmax(1)
        others = p[~own].view(5, 6)
        return torch.stack([p[own], others.sum(1)], 1), others / others.sum(1, keepdim=True)

    (b_s, q_s), (b_t, q_t) = shares(student), shares(teacher)
    slow = ((b_t * (b_t / b_s).log()).sum(1) + 8 * (q_t * (q_t / q_s).log()).sum(1)).mean() * 16
    fast = dkd(student, teacher, labels)
    torch.testing.assert_close(fast, slow)
    torch.testing.assert_close(torch.autograd.grad(fast, student), torch.autograd.grad(slow, student))


def test_saturated_logits() -> None:
    student = torch.tensor([[1000.0, -1000.0, 0.0]], requires_grad=True)
    loss = dkd(student, torch.tensor([[-1000.0, 1000.0, 0.0]]), torch.tensor([0]))
    loss.backward()
    assert loss.isfinite()
    assert student.grad is not None
    assert student.grad.isfinite().all()
    assert student.grad.abs().max() > 0


@pytest.mark.parametrize(("progress", "share"), [(0.0, 0.0), (0.05, 0.5), (0.1, 1.0), (0.9, 1.0)])
def test_warm_up(progress: float, share: float) -> None:
    arguments = torch.randn(4, 5), torch.randn(4, 5), torch.arange(4)
    torch.testing.assert_close(DKD(warmup=0.1)(*arguments, progress), share * dkd(*arguments))


@pytest.mark.parametrize(
    ("progress", "share"), [(0.0, 0.25), (0.0124, 0.25), (0.025, 0.5), (0.0999, 1.0), (0.1, 1.0), (1.0, 1.0)]
)
def test_warm_up_in_levels(progress: float, share: float) -> None:
    """The first of four levels is a quarter, not nothing."""
    arguments = torch.randn(4, 5), torch.randn(4, 5), torch.arange(4)
    torch.testing.assert_close(DKD(warmup=0.1, warmup_levels=4)(*arguments, progress), share * dkd(*arguments))


def test_levels_begin_at_the_step_that_begins_an_epoch() -> None:
    """Whatever a share of the run is rounded to."""
    arguments = torch.randn(4, 5), torch.randn(4, 5), torch.arange(4)
    full = dkd(*arguments).item()
    for steps in (7, 49, 781, 782):
        objective = DKD(warmup=20 / 240, warmup_levels=20)
        shares = [objective(*arguments, epoch * steps / (240 * steps)).item() / full for epoch in range(22)]
        assert shares == pytest.approx([min((epoch + 1) / 20, 1) for epoch in range(22)])


def test_levels_that_cannot_be() -> None:
    with pytest.raises(UserError, match="`warmup_levels` must be at least 0, got -1"):
        DKD(warmup_levels=-1)
    assert DKD(warmup=0, warmup_levels=20)(torch.ones(1, 2), torch.eye(2)[:1], torch.tensor([0]), 0.0) > 0
