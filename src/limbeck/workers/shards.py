"""Work on the shards of a large set, each once."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from limbeck.progress import Progress, Silent
from limbeck.workers.crew import Task, open_crew
from limbeck.workers.shares import threads_each


def run_shards(
    make: Callable[[], Any],
    method: str,
    indices: Sequence[int],
    workers: int,
    progress: Progress,
    title: str,
    shared: Sequence[Path] = (),
) -> None:
    """Calls `make()` once in every worker and then its `method` with each of `indices` once, in any worker.

    A worker that dies is replaced by another, which does its shard once more.

    Args:
        make: returns an object whose `method` takes an index; must survive pickling for more than one worker.
        method: stores its result itself, whole or not at all.
        indices: may be empty.
        workers: 1 is this process; more are processes of this machine, or of the Ray cluster that this process is
            connected to or RAY_ADDRESS names.
        progress: updated after every shard.
        title: what to call the work.
        shared: files and folders that are there and that every worker must see.

    Raises:
        UserError: Ray's cluster cannot be reached or starts no worker, a worker does not see what is shared or cannot
            begin, or workers keep dying.
    """
    if not indices:
        return
    progress.begin(title, len(indices))
    try:
        count = min(workers, len(indices))
        run = _here(make, method, indices) if count == 1 else _by_workers(make, method, indices, count, shared)
        for done, _ in enumerate(run, start=1):
            progress.update(done)
    finally:
        progress.end()


def _here(make: Callable[[], Any], method: str, indices: Sequence[int]) -> Iterator[None]:
    worker = make()
    for index in indices:
        getattr(worker, method)(index)
        yield


def _by_workers(
    make: Callable[[], Any], method: str, indices: Sequence[int], count: int, shared: Sequence[Path]
) -> Iterator[None]:
    tasks = [Task(index, f"shard {index}") for index in indices]
    with open_crew(count) as crew:
        for _ in crew.work(_Shards(make, method), tasks, lambda task: Silent(), shared, threads=threads_each(count)):
            yield


class _Shards:
    """Makes what works on a shard."""

    def __init__(self, make: Callable[[], Any], method: str) -> None:
        self.make = make
        self.method = method

    def __call__(self) -> "_Shard":
        return _Shard(self.make(), self.method)


class _Shard:
    def __init__(self, worker: Any, method: str) -> None:
        self.worker = worker
        self.method = method

    def __call__(self, index: int, progress: Progress) -> None:
        getattr(self.worker, self.method)(index)
