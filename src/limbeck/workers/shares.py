"""The share of a machine that a process takes beside other workers.

torch is imported late, so that workers can be started while this process still imports it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

from limbeck.errors import UserError
from limbeck.memory import share_memory


def cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_workers(workers: object) -> None:
    """Raises a UserError for anything but a number of workers."""
    if isinstance(workers, bool) or not isinstance(workers, int):
        raise UserError(f"`workers` must be a whole number, got {workers!r}.")
    if workers < 1:
        raise UserError(f"`workers` must be at least 1, got {workers}.")


def threads_each(workers: int) -> int:
    """Threads of one of `workers`: its share of the cores, and never more than this process uses itself."""
    import torch

    return max(1, min(torch.get_num_threads(), cores() // workers))


@contextmanager
def computing_on(threads: int) -> Iterator[None]:
    """Inside, torch, BLAS and OpenMP use `threads` threads."""
    import torch

    before = torch.get_num_threads()
    with threadpool_limits(threads):
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def take_share(threads: int, workers: int) -> None:
    """Sets the threads and the share of memory of this process, one of `workers` on this machine, until it ends."""
    import torch

    threadpool_limits(threads)
    torch.set_num_threads(threads)
    share_memory(workers)
