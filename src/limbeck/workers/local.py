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
"""What takes seconds to import and every worker needs: one process does so, and workers are its forks."""
SECONDS_TO_LEAVE = 10
_MAIN = threading.Lock()
Message = tuple[Any, ...]


class LocalWorker(NamedTuple):
    """A process, and this end of the line to it."""

    process: Any
    connection: Connection
    number: int

    def send(self, message: Message) -> None:
        with suppress(OSError):  # it is gone, which `receive` finds out
            self.connection.send(message)


class LocalPlace:
    """Starts workers here."""

    advice = ""

    def __init__(self, count: int = 1) -> None:
        self._context = _context()
        self._count = count
        self._hired = 0

    def prepare(self) -> None:
        """Has the imports begin that all workers share."""
        if self._context.get_start_method() == "forkserver":
            from multiprocessing.forkserver import ensure_running

            with _main_unseen():
                ensure_running()

    def have_done(self, work: Callable[[], object]) -> None:
        """Has a process do something meanwhile that nobody waits for; it ends with this one, done or not."""

        def start() -> None:
            with suppress(OSError), _main_unseen():
                self._context.Process(target=_meanwhile, args=(work,), daemon=True, name="limbeck-meanwhile").start()

        # By a thread, as starting waits for the imports that workers share.
        threading.Thread(target=start, daemon=True, name="limbeck-meanwhile").start()

    def hire(self) -> LocalWorker:
        parent_end, child_end = self._context.Pipe()
        process = self._context.Process(target=serve, args=(child_end,), daemon=True, name="limbeck-worker")
        with _main_unseen():
            process.start()
        child_end.close()  # so that the end of the process is the end of the line
        self._hired += 1
        return LocalWorker(process, parent_end, self._hired - 1)

    def surroundings(self, worker: LocalWorker, shared: Sequence[Path], threads: int) -> Surroundings:
        """What it takes on; of several GPUs it gets one."""
        variables, gpus = dict(os.environ), _gpus()
        if len(gpus) > 1:
            variables["CUDA_VISIBLE_DEVICES"] = gpus[worker.number % len(gpus)]
        return Surroundings(variables, str(Path.cwd()), threads=threads, workers=self._count)

    def receive(self, workers: Sequence[LocalWorker], seconds: float) -> Iterator[tuple[LocalWorker, Message | None]]:
        """A message of every worker that has some, within so many seconds; None of one that is gone."""
        by_connection = {worker.connection: worker for worker in workers}
        for connection in wait(list(by_connection), seconds):
            worker = by_connection[connection]  # pyright: ignore[reportArgumentType] (as they were given)
            try:
                yield worker, worker.connection.recv()
            except (EOFError, OSError):
                yield worker, None

    def cause(self, worker: LocalWorker) -> str:
        """How one that is gone ended."""
        worker.process.join(SECONDS_TO_LEAVE)
        code = worker.process.exitcode
        if code is not None and code < 0:
            with suppress(ValueError):
                return f"killed by {signal.Signals(-code).name}"
        return f"exit status {code}"

    def dismiss(self, workers: Sequence[LocalWorker], *, seconds: float = SECONDS_TO_LEAVE) -> None:
        """Has workers leave after their step, and ends those that do not within some seconds."""
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
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal, which would show where this was
    with suppress(Exception):  # which is met again by whoever needs what was to be done
        work()


def _gpus() -> list[str]:
    """As CUDA_VISIBLE_DEVICES names those that this process sees."""
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
