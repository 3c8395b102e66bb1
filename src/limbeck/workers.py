"""Independent pieces of work, here one after another or by Ray's workers side by side."""

import importlib.util
import os
import pickle
import platform
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from limbeck.errors import UserError
from limbeck.progress import Progress

_DEATHS = 3
"""Workers that may die of one shard."""
_PATIENCE = 60
"""Seconds in which a cluster must start one worker."""
_SURROUNDINGS = ("LIMBECK_", "HF_")
"""What variables begin with that say where data are; workers elsewhere get those of this process."""
_SHARE = (
    "the machines of a Ray cluster must have limbeck and share with this one, under the same paths, the files of the "
    "images, limbeck's cache and the folder that the result goes to. See to that"
)
Task = int | Literal["look", "begin"]
"""What a worker is at: a shard, or one of the steps before the first."""


def run_shards(
    make: Callable[[], Any],
    method: str,
    indices: Sequence[int],
    workers: int,
    progress: Progress,
    title: str,
    shared: Sequence[Path] = (),
) -> None:
    """Calls `make()` once in every worker and then its `method` with each of `indices` once, somewhere.

    A worker that dies is replaced by another, which does its shard once more.

    Args:
        make: gives an object whose `method` takes an index; must survive pickling for more than one worker.
        method: keeps its result itself, whole or not at all.
        indices: may be empty.
        workers: 1 is this process; more need Ray, on the cluster that this process is connected to or RAY_ADDRESS
            names, else on this machine.
        progress: told after every shard.
        title: what to call the work.
        shared: files and folders that are there and that every worker must see.

    Raises:
        UserError: Ray is missing, its cluster cannot be reached or starts no worker, a worker does not see what is
            shared or cannot begin, or workers keep dying.
    """
    if not indices:
        return
    progress.begin(title, len(indices))
    try:
        count = min(workers, len(indices))
        run = _run_here(make, method, indices) if workers == 1 else _run_by_ray(make, method, indices, count, shared)
        for done, _ in enumerate(run, start=1):
            progress.update(done)
    finally:
        progress.end()


def _run_here(make: Callable[[], Any], method: str, indices: Sequence[int]) -> Iterator[None]:
    worker = make()
    for index in indices:
        getattr(worker, method)(index)
        yield


def _worker() -> type[Any]:
    """What runs in a process of Ray's; made here so that it is sent as code to machines that may lack limbeck."""

    class Worker:
        """Its first two calls return what is wrong, or nothing."""

        def look(self, variables: dict[str, str], folder: str, shared: Sequence[str]) -> str:
            """Takes on the surroundings of who asks, so that names and relative paths mean the same."""
            unseen = [path for path in (folder, *shared) if not Path(path).exists()]
            if unseen:
                return f"on {platform.node()} cannot see {', '.join(map(repr, unseen))}"
            os.environ.update(variables)
            os.chdir(folder)
            return ""

        def begin(self, packed: bytes) -> str:
            try:
                self.work = pickle.loads(packed)()
            except Exception as error:  # whatever a machine elsewhere lacks: a library, a file, a device
                return f"on {platform.node()} cannot begin ({type(error).__name__}: {error})"
            return ""

        def run(self, method: str, index: int) -> None:
            getattr(self.work, method)(index)

    return Worker


def _run_by_ray(
    make: Callable[[], Any], method: str, indices: Sequence[int], workers: int, shared: Sequence[Path]
) -> Iterator[None]:
    if importlib.util.find_spec("ray") is None:
        raise UserError(f"{workers} `workers` need Ray; `pip install limbeck[scale]`, or use 1.")
    import ray
    from ray.exceptions import RayActorError

    with _connected(ray, workers) as joined:
        crew = _Crew(ray, make, method, shared, joined=joined)
        for _ in range(workers):
            crew.hire()
        todo, deaths = list(reversed(indices)), Counter[Task]()
        while todo or crew.at_work:
            while todo and crew.idle:
                crew.give(todo.pop())
            worker, task, answer = crew.next()
            try:
                crew.advance(worker, task, ray.get(answer))  # raises what the worker raised
            except RayActorError as error:
                # Shards are kept whole or not at all, so doing one again does no harm.
                deaths[task] += 1
                if deaths[task] == _DEATHS:
                    which = f"worker of shard {task}" if isinstance(task, int) else "first workers"
                    raise UserError(
                        f"the {which} died {_DEATHS} times ({error}); what is done is kept. Is there memory "
                        "enough for as many workers?"
                    ) from error
                todo += [task] if isinstance(task, int) else []
                crew.hire()
                continue
            if isinstance(task, int):
                yield


class _Crew:
    """Workers of Ray's: those that begin, those that wait for a shard, and those at work on one."""

    def __init__(self, ray: Any, make: Callable[[], Any], method: str, shared: Sequence[Path], *, joined: bool) -> None:
        self.ray = ray
        self.method = method
        self.joined = joined
        self.actor = ray.remote(num_cpus=1)(_worker())
        self.packed = ray.put(ray.cloudpickle.dumps(make))
        variables = {name: value for name, value in os.environ.items() if name.startswith(_SURROUNDINGS)}
        self.surroundings = variables, str(Path.cwd()), [str(path.absolute()) for path in shared]
        self.idle: list[Any] = []
        self.busy: dict[Any, tuple[Any, Task]] = {}
        self.started = False

    @property
    def at_work(self) -> bool:
        return any(isinstance(task, int) for _, task in self.busy.values())

    def hire(self) -> None:
        worker = self.actor.remote()
        self.busy[worker.look.remote(*self.surroundings)] = worker, "look"

    def give(self, shard: int) -> None:
        worker = self.idle.pop()
        self.busy[worker.run.remote(self.method, shard)] = worker, shard

    def next(self) -> tuple[Any, Task, Any]:
        """The first worker that has something to say, what it was doing, and where its answer is."""
        patience = _PATIENCE if self.joined and not self.started else None
        ready, _ = self.ray.wait(list(self.busy), num_returns=1, timeout=patience)
        if not ready:
            has, free = (one.get("CPU", 0) for one in (self.ray.cluster_resources(), self.ray.available_resources()))
            raise UserError(
                f"Ray's cluster started no worker within {patience} s; it has {has:.0f} CPUs, {free:.0f} of them free, "
                "and every worker takes one. Wait until there are some, or unset RAY_ADDRESS to work on this machine."
            )
        self.started = True
        return *self.busy.pop(ready[0]), ready[0]

    def advance(self, worker: Any, task: Task, wrong: str | None) -> None:
        """Has a worker begin that has looked around, and one that has begun or done a shard wait for the next."""
        if wrong:
            share = f"; {_SHARE}, or unset RAY_ADDRESS to work on this machine" if self.joined else ""
            raise UserError(f"a worker {wrong}{share}.")
        if task == "look":
            self.busy[worker.begin.remote(self.packed)] = worker, "begin"
        else:
            self.idle.append(worker)


@contextmanager
def _connected(ray: Any, workers: int) -> Iterator[bool]:
    """Whether Ray's cluster was there before: the caller's, or that of RAY_ADDRESS; else one is started here.

    Either is left in the state it was in.
    """
    if ray.is_initialized():
        yield True
        return
    address = os.environ.get("RAY_ADDRESS") or "local"
    # A cluster that others started on this machine is joined only if RAY_ADDRESS says so, by name or as "auto".
    quiet = {"log_to_driver": False, "configure_logging": False}
    try:
        if address == "local":
            cpus = max(workers, os.cpu_count() or 1)
            ray.init(address="local", num_cpus=cpus, include_dashboard=False, **quiet)
        else:
            _knock(address)
            _show_token(address)
            ray.init(address=address, **quiet)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError, OSError, ImportError) as error:
        if address == "local":
            raise
        raise UserError(
            f"RAY_ADDRESS names a cluster that cannot be joined, {address!r} ({type(error).__name__}: {error}); "
            "start it (`ray start --head`), set RAY_AUTH_MODE=token if it asks for one, or unset RAY_ADDRESS to work "
            "on this machine."
        ) from error
    try:
        yield address != "local"
    finally:
        ray.shutdown()


def _show_token(address: str) -> None:
    """Has Ray show this user's token, if there is one, to a cluster on this machine, which then asks for it.

    `ray start` does the same by itself, joining by an address does not.
    """
    if address.startswith(("127.0.0.1:", "localhost:", "[::1]:")):
        with suppress(ImportError):  # older ones have no tokens
            from ray._private.authentication import authentication_token_setup as tokens

            tokens.maybe_enable_token_auth_if_token_available(warn_if_disabled=False)


def _knock(address: str) -> None:
    """Raises an `OSError` where nobody listens at "host:port", which Ray would take minutes to find out."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdecimal() and "://" not in address:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
