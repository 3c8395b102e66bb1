import time

import pytest
import torch
from tests.transfer.condense.matching_problems import problem

from limbeck.transfer.condense import estimate
from limbeck.transfer.condense.estimate import PeakMemory, measured, memory_left


def test_the_most_bytes_at_a_time_are_counted() -> None:
    with PeakMemory() as memory:
        kept = [torch.zeros(100) for _ in range(3)]
        kept.append(kept[0].view(10, 10))  # its storage is counted already
        kept[1].add_(1)
        kept.clear()
        torch.zeros(250)
    assert memory.peak == 1200
    assert memory.now == 0


def test_what_graphs_hold_is_counted() -> None:
    peaks = []
    for steps in (2, 12):
        with PeakMemory() as memory:
            problem(steps=steps, views=False).solve("unrolled")
        peaks.append(memory.peak)
    assert peaks[1] > 4 * peaks[0]


def test_short_work_is_done_twice_and_long_work_once(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []

    def work() -> None:
        done.append(1)
        time.sleep(0.02 if len(done) == 1 else 0.0)

    assert measured(work, torch.device("cpu"))[0] < 0.02
    assert len(done) == 2
    done.clear()
    monkeypatch.setattr(estimate, "_LONG", 0.01)
    assert measured(work, torch.device("cpu"))[0] >= 0.02
    assert len(done) == 1


def test_memory_left_is_that_of_the_machine() -> None:
    assert memory_left(torch.device("cpu")) > 2**20
