"""Hinton's loss against the reference's numbers."""

import pytest
import torch
from tests.objectives.golden import Golden

from limbeck.errors import UserError
from limbeck.objectives import KD
from limbeck.objectives.functional import kd


def test_value_and_gradient_equal_the_reference() -> None:
    golden = Golden("kd")
    golden.check(kd(**golden.inputs, temperature=golden.hp["T"]))


def test_it_is_the_mean_over_the_batch_not_over_classes() -> None:
    student, teacher = torch.randn(4, 10), torch.randn(4, 10)
    one_by_one = torch.stack([kd(student[i : i + 1], teacher[i : i + 1]) for i in range(4)])
    assert kd(student, teacher).item() == pytest.approx(one_by_one.mean().item(), rel=1e-5)


@pytest.mark.parametrize("temperature", [0, -1.0])
def test_temperature_must_be_positive(temperature: float) -> None:
    with pytest.raises(UserError, match="`temperature` must be > 0, got"):
        KD(temperature=temperature)
