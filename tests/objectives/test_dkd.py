"""Decoupled distillation: equal to the classical loss where it must be, and finite where log of sums is not."""

import pytest
import torch

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
    given = torch.randn(4, 5), torch.randn(4, 5), torch.arange(4)
    torch.testing.assert_close(DKD(warmup=0.1)(*given, progress), share * dkd(*given))
