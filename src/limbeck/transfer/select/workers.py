"""Independent pieces of work, here one after another or by Ray's workers side by side."""

import importlib.util
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from limbeck.errors import UserError
from limbeck.training.progress import Progress

_DEATHS = 3
"""Workers that may die of one shard."""


def run_shards(
    make: Callable[[], Any], method: str, indices: Sequence[int], workers: int, progress: Progress, title: str
) -> None:
    """Calls `make()` once in every worker and then its `method` with each of `indices` once, somewhere.

    A worker that dies is replaced by another, which does its shard once more.

    Args:
        make: gives an object whose `method` takes an index; must survive pickling for more than one worker.
        method: keeps its result itself, whole or not at all.
        indices: may be empty.
        workers: 1 is this process; more need Ray.
        progress: told after every shard.
        title: what to call the work.

    Raises:
        UserError: Ray is missing, or workers keep dying.
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
    from ray.exceptions import RayActorError

    class Worker:
        def __init__(self, make: Callable[[], Any]) -> None:
            self.work = make()

        def run(self, method: str, index: int) -> None:
            getattr(self.work, method)(index)

    with _connected(ray, workers):
        actor: Any = ray.remote(num_cpus=1)(Worker)
        shared = ray.put(make)
        idle = [actor.remote(shared) for _ in range(workers)]
        todo, busy, deaths = list(reversed(indices)), {}, Counter[int]()
        while todo or busy:
            while todo and idle:
                worker, index = idle.pop(), todo.pop()
                busy[worker.run.remote(method, index)] = worker, index
            (reference,), _ = ray.wait(list(busy), num_returns=1)
            worker, index = busy.pop(reference)
            try:
                ray.get(reference)  # raises what the worker raised
            except RayActorError as error:
                # Shards are kept whole or not at all, so doing one again does no harm.
                deaths[index] += 1
                if deaths[index] == _DEATHS:
                    raise UserError(
                        f"the worker of shard {index} died {_DEATHS} times ({error}); what is done is kept. Is there "
                        "memory enough for as many workers?"
                    ) from error
                todo.append(index)
                idle.append(actor.remote(shared))
                continue
            idle.append(worker)
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
