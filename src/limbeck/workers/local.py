"""Workers as processes of this machine."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from limbeck.workers.process import Surroundings, serve

_PRELOADED = ("limbeck.recipes.run_tasks", "limbeck.transfer.select.maker", "limbeck.objectives.kd")
"""Modules that take seconds to import and that every worker needs: one process imports them, workers are its forks."""
SECONDS_TO_LEAVE = 10
_MAIN = threading.Lock()
Message = tuple[Any, ...]


class LocalWorker(NamedTuple):
    """A process, and this end of the connection to it."""

    process: Any
    connection: Connection
    number: int

    def send(self, message: Message) -> None:
        with suppress(OSError):  # it is gone, which `receive` finds out
            self.connection.send(message)


class LocalPlace:
    """Starts workers on this machine."""

    advice = ""

    def __init__(self, count: int = 1) -> None:
        self._context = _context()
        self._count = count
        self._hired = 0

    def prepare(self) -> None:
        """Starts the imports that all workers share."""
        if self._context.get_start_method() == "forkserver":
            from multiprocessing.forkserver import ensure_running

            with _main_unseen():
                ensure_running()

    def have_done(self, work: Callable[[], object]) -> None:
        """Does work in a background process that nobody waits for; it ends with this process, done or not."""

        def start() -> None:
            with suppress(OSError), _main_unseen():
                self._context.Process(target=_meanwhile, args=(work,), daemon=True, name="limbeck-meanwhile").start()

        # In a thread, as starting waits for the imports that workers share.
        threading.Thread(target=start, daemon=True, name="limbeck-meanwhile").start()

    def hire(self) -> LocalWorker:
        parent_end, child_end = self._context.Pipe()
        process = self._context.Process(target=serve, args=(child_end,), daemon=True, name="limbeck-worker")
        with _main_unseen():
            process.start()
        child_end.close()  # so that the connection ends with the process
        self._hired += 1
        return LocalWorker(process, parent_end, self._hired - 1)

    def surroundings(self, worker: LocalWorker, shared: Sequence[Path], threads: int) -> Surroundings:
        """What a worker takes on; of several GPUs it gets one."""
        variables, gpus = dict(os.environ), _gpus()
        if len(gpus) > 1:
            variables["CUDA_VISIBLE_DEVICES"] = gpus[worker.number % len(gpus)]
        return Surroundings(variables, str(Path.cwd()), threads=threads, workers=self._count)

    def receive(self, workers: Sequence[LocalWorker], seconds: float) -> Iterator[tuple[LocalWorker, Message | None]]:
        """A message of every worker that has one within `seconds`; None for a worker that is gone."""
        by_connection = {worker.connection: worker for worker in workers}
        for connection in wait(list(by_connection), seconds):
            worker = by_connection[connection]  # pyright: ignore[reportArgumentType] (as they were given)
            try:
                yield worker, worker.connection.recv()
            except (EOFError, OSError):
                yield worker, None

    def cause(self, worker: LocalWorker) -> str:
        """How a worker that is gone ended."""
        worker.process.join(SECONDS_TO_LEAVE)
        code = worker.process.exitcode
        if code is not None and code < 0:
            with suppress(ValueError):
                return f"killed by {signal.Signals(-code).name}"
        return f"exit status {code}"

    def dismiss(self, workers: Sequence[LocalWorker], *, seconds: float = SECONDS_TO_LEAVE) -> None:
        """Has workers leave after their step, and ends those that have not left after `seconds`."""
        for worker in workers:
            worker.send(("leave",))
        try:
            for worker in workers:
                worker.process.join(seconds)
        finally:
            for worker in workers:
                worker.connection.close()
                if worker.process.exitcode is None:
                    worker.process.kill()
                    worker.process.join(SECONDS_TO_LEAVE)


def _meanwhile(work: Callable[[], object]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal would show a traceback of this process
    with suppress(Exception):  # whoever needs the result does the work, and meets the error
        work()


def _gpus() -> list[str]:
    """The GPUs that this process sees, as CUDA_VISIBLE_DEVICES names them."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return []
    visible = [gpu.strip() for gpu in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if gpu.strip()]
    return visible or [str(number) for number in range(torch.cuda.device_count())]


def _context() -> Any:
    """Never a plain fork, as torch's threads may hold locks by now."""
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_PRELOADED))
    return context


@contextmanager
def _main_unseen() -> Iterator[None]:
    """Inside, a process that starts does not run the caller's script again, which may have no guard against that."""
    with _MAIN:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main
