"""Entropy-adaptive distillation: classical distillation, with weights by hand."""

import math

import pytest
import torch

from limbeck.objectives.functional import ea_kd, kd


@pytest.mark.parametrize("bound", [0.0, 100.0])
def test_weights(bound: float) -> None:
    student, teacher = torch.randn(4, 6), torch.randn(4, 6)
    expected = 0.0
    for i in range(4):
        h_s, h_t = (
            torch.distributions.Categorical(logits=logits[i] / 3).entropy().item() for logits in (student, teacher)
        )
        weight = (h_t + h_t * h_s / (bound or math.log(6))) / 2
        expected += weight * kd(student[i : i + 1], teacher[i : i + 1]).item() / 4
    assert ea_kd(student, teacher, entropy_bound=bound).item() == pytest.approx(expected, rel=1e-5)
