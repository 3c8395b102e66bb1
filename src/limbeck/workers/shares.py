"""What a process takes of a machine that it shares with other workers.

torch is imported late, as workers are being started while this process still imports it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

from limbeck.errors import UserError
from limbeck.memory import share_memory


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_workers(workers: object) -> None:
    """Raises a UserError for what is no number of workers."""
    if isinstance(workers, bool) or not isinstance(workers, int):
        raise UserError(f"`workers` must be a whole number, got {workers!r}.")
    if workers < 1:
        raise UserError(f"`workers` must be at least 1, got {workers}.")


def threads_each(workers: int) -> int:
    """Threads of one of so many workers: its part of the cores, and never more than this process uses itself."""
    import torch

    return max(1, min(torch.get_num_threads(), cores() // workers))


@contextmanager
def computing_on(threads: int) -> Iterator[None]:
    """Inside, torch, BLAS and OpenMP use so many threads."""
    import torch

    before = torch.get_num_threads()
    with threadpool_limits(threads):
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def take_share(threads: int, workers: int) -> None:
    """For the rest of this process, one of so many workers on this machine: its threads, and its part of the memory."""
    import torch

    threadpool_limits(threads)
    torch.set_num_threads(threads)
    share_memory(workers)
