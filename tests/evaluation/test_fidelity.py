import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given
from torch.nn import functional

from limbeck.evaluation import fidelity


def pair(seed: int, scale: float = 3.0) -> tuple[torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(20, 5, generator=source) * scale for _ in range(2))


def test_values_by_hand():
    student = torch.tensor([[0.5, 0.5], [0.25, 0.75]]).log()
    teacher = torch.tensor([[0.5, 0.5], [0.5, 0.5]]).log()
    expected = 0.5 * (0.5 * math.log(2) + 0.5 * math.log(2 / 3))
    assert fidelity.divergence(student, teacher) == pytest.approx(expected, rel=1e-6)
    assert fidelity.agreement(student, teacher) == 0.5


@given(st.integers(0, 2**31))
def test_divergence_is_kl_of_teacher_from_student(seed):
    student, teacher = pair(seed)
    expected = functional.kl_div(
        student.double().log_softmax(1), teacher.double().log_softmax(1), reduction="batchmean", log_target=True
    )
    assert fidelity.divergence(student, teacher) == pytest.approx(expected.item(), rel=1e-9)
    assert fidelity.divergence(student, teacher) >= 0


def test_equal_networks_agree_wholly():
    student, _ = pair(0)
    assert fidelity.agreement(student, student) == 1
    assert fidelity.divergence(student, student) == 0


def test_per_class_values_average_to_the_whole():
    student, teacher = pair(1)
    labels = torch.arange(20) % 4  # class 4 has no images
    for whole, parts in (
        (fidelity.agreement(student, teacher), fidelity.per_class_agreement(student, teacher, labels)),
        (fidelity.divergence(student, teacher), fidelity.per_class_divergence(student, teacher, labels)),
    ):
        assert parts[:4].mean().item() == pytest.approx(whole)
        assert math.isnan(parts[4])


def test_saturated_logits_stay_finite():
    student, teacher = torch.tensor([[1e3, -1e3]]), torch.tensor([[-1e3, 1e3]])
    assert fidelity.divergence(student, teacher) == pytest.approx(2000)
