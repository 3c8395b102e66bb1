"""Neuron selectivity transfer against the reference's numbers, and its two ways against each other."""

import pytest
import torch
from tests.objectives.golden import Golden

from limbeck.objectives.functional import nst


def test_value_and_gradient_equal_the_reference() -> None:
    golden = Golden("nst")
    golden.check(nst(golden.stages("student"), golden.stages("teacher")))


def test_stages_add_up() -> None:
    golden = Golden("nst")
    alone = [nst([s], [t]).item() for s, t in zip(golden.stages("student"), golden.stages("teacher"), strict=True)]
    torch.testing.assert_close(torch.tensor(alone), golden.results["per_stage"], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("channels", "others", "side"), [(3, 5, 4), (20, 4, 3), (4, 20, 3), (9, 9, 3)])
def test_many_places_or_many_channels_give_the_kernel_of_all_pairs(channels: int, others: int, side: int) -> None:
    student = torch.rand(2, channels, side, side, dtype=torch.float64, requires_grad=True)
    teacher = torch.rand(2, others, side, side, dtype=torch.float64)

    def kernel(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        a, b = (torch.nn.functional.normalize(stage.flatten(2), dim=2) for stage in (a, b))
        return (a[:, :, None] * b[:, None]).sum(3).square().mean()

    slow = kernel(teacher, teacher) + kernel(student, student) - 2 * kernel(student, teacher)
    torch.testing.assert_close(nst([student], [teacher]), slow)
    grads = [torch.autograd.grad(loss, student)[0] for loss in (nst([student], [teacher]), slow)]
    torch.testing.assert_close(*grads)
