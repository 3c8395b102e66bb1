"""The memory of crd and rrd on a GPU: the same draws and scores as on the CPU, and the same rows afterwards."""

import pytest
import torch
from torch import Tensor

from limbeck.models import Outputs
from limbeck.objectives import Setup
from limbeck.objectives.momentum_memory import MomentumMemory
from limbeck.objectives.queue import Queue
from limbeck.randomness import own_randomness

pytestmark = pytest.mark.gpu
N, B, D = 60, 8, 16


def memory(**options: str) -> MomentumMemory:
    setup = Setup(Outputs(torch.zeros(1, 5)), Outputs(torch.zeros(1, 5)), torch.arange(N) * 7, torch.arange(N) % 5)
    with own_randomness(0, "memory"):
        return MomentumMemory(setup, D, momentum=0.5, temperature=0.1, negatives="other-classes", **options)


def steps(one: MomentumMemory, device: torch.device) -> tuple[list[Tensor], list[Tensor]]:
    """The rows drawn in four steps, and their scores."""
    drawn, scores = [], []
    for seed in range(4):
        source = torch.Generator().manual_seed(seed)
        student, teacher = (torch.nn.functional.normalize(torch.randn(B, D, generator=source)) for _ in range(2))
        ids = (torch.randperm(N, generator=source)[:B] * 7).to(device)
        own = student.to(device).requires_grad_()
        rows = one.rows(ids)
        places = one.draw(rows, 12)
        both = one.scores(own, teacher.to(device), places)
        one.update(own, teacher.to(device), rows)
        sum(values.sum() for values in both).backward()
        drawn.append(places.cpu().sort(dim=1).values)  # their order depends on the device
        scores += [values.detach().cpu().sort(dim=1).values for values in both]
    return drawn, scores


@pytest.mark.parametrize("options", [{}, {"draws": "independent"}, {"positives": "same-class"}], ids=str)
def test_memories_are_those_of_the_cpu(device: torch.device, options: dict[str, str]) -> None:
    on_device, on_cpu = memory(**options).to(device), memory(**options)
    (drawn, scores), (expected, of_cpu) = steps(on_device, device), steps(on_cpu, torch.device("cpu"))
    assert all(torch.equal(actual, wanted) for actual, wanted in zip(drawn, expected, strict=True))
    for score, score_of_cpu in zip(scores, of_cpu, strict=True):
        torch.testing.assert_close(score, score_of_cpu, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(on_device.student.cpu(), on_cpu.student, rtol=1e-4, atol=1e-5)


def test_a_queue_is_that_of_the_cpu(device: torch.device) -> None:
    with own_randomness(0, "queue"):
        on_cpu = Queue(20, D)
    with own_randomness(0, "queue"):
        on_device = Queue(20, D).to(device)
    for seed in range(4):
        pushed = torch.randn(B, D, generator=torch.Generator().manual_seed(seed))
        on_cpu.push(pushed)
        on_device.push(pushed.to(device))
    assert torch.equal(on_device.keys.cpu(), on_cpu.keys)
    assert on_device.place.item() == on_cpu.place.item()
