"""Independent pieces of work, here one after another or by Ray's workers side by side."""

import importlib.util
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from limbeck.errors import UserError
from limbeck.training.progress import Progress


def run_shards(
    make: Callable[[], Any], method: str, indices: Sequence[int], workers: int, progress: Progress, title: str
) -> None:
    """Calls `make()` once in every worker and then its `method` with each of `indices` once, somewhere.

    A worker that dies is started again and does its shard once more.

    Args:
        make: gives an object whose `method` takes an index; must survive pickling for more than one worker.
        method: keeps its result itself, whole or not at all.
        indices: may be empty.
        workers: 1 is this process; more need Ray.
        progress: told after every shard.
        title: what to call the work.

    Raises:
        UserError: Ray is missing.
    """
    if not indices:
        return
    progress.begin(title, len(indices))
    try:
        run = _run_here if workers == 1 else _run_by_ray
        for done, _ in enumerate(run(make, method, indices, min(workers, len(indices))), start=1):
            progress.update(done)
    finally:
        progress.end()


def _run_here(make: Callable[[], Any], method: str, indices: Sequence[int], workers: int) -> Iterator[None]:
    worker = make()
    for index in indices:
        getattr(worker, method)(index)
        yield


def _run_by_ray(make: Callable[[], Any], method: str, indices: Sequence[int], workers: int) -> Iterator[None]:
    if importlib.util.find_spec("ray") is None:
        raise UserError(f"{workers} `workers` need Ray; `pip install limbeck[scale]`, or use 1.")
    import ray

    class Worker:
        def __init__(self, make: Callable[[], Any]) -> None:
            self.work = make()

        def run(self, method: str, index: int) -> None:
            getattr(self.work, method)(index)

    with _connected(ray, workers):
        # -1: as often as need be. Shards are kept whole or not at all, so doing one again does no harm.
        actor: Any = ray.remote(max_restarts=-1, max_task_retries=-1, num_cpus=1)(Worker)
        shared = ray.put(make)
        idle = [actor.remote(shared) for _ in range(workers)]
        todo, busy = list(reversed(indices)), {}
        while todo or busy:
            while todo and idle:
                worker = idle.pop()
                busy[worker.run.remote(method, todo.pop())] = worker
            done, _ = ray.wait(list(busy), num_returns=1)
            for reference in done:
                ray.get(reference)  # raises what the worker raised
                idle.append(busy.pop(reference))
                yield


@contextmanager
def _connected(ray: Any, workers: int) -> Iterator[None]:
    """The cluster that the caller is connected to or, for as long as it is needed, one on this machine."""
    if ray.is_initialized():
        yield
        return
    cpus = max(workers, os.cpu_count() or 1)
    ray.init(num_cpus=cpus, include_dashboard=False, log_to_driver=False, configure_logging=False)
    try:
        yield
    finally:
        ray.shutdown()
