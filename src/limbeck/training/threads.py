"""The number of threads for a step.

Threads synchronise at the end of every operation. For a small step they spend more time on that than on computing, and
on a machine that is busy with other work they wait for any thread that is not running: on two such cores the digits
of `limbeck demo` trained at 264 steps/s with one thread and at 5 to 89 with two.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from limbeck.evaluation.model_size import multiply_adds
from limbeck.models.classifier import Classifier

ONE_THREAD = 5e8
"""Multiply-adds of a step below which one thread is enough, some milliseconds of work."""


@contextmanager
def threads_for(work: float, device: torch.device) -> Iterator[None]:
    """Inside, one thread where `work` (multiply-adds per step) is below `ONE_THREAD` on a CPU; restored afterwards."""
    if device.type != "cpu" or work >= ONE_THREAD:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def work_of_step(
    student: Classifier, teacher: Classifier | None, shape: tuple[int, int, int], batch_size: int
) -> float:
    """Multiply-adds of a step: a backward pass costs about two forward passes."""
    teacher_work = 0 if teacher is None else multiply_adds(teacher, shape)
    return batch_size * (3 * multiply_adds(student, shape) + teacher_work)
