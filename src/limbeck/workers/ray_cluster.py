"""Workers on the machines of a Ray cluster: each is a process as elsewhere, reached by an actor of Ray."""

import importlib
import importlib.util
import os
import platform
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from limbeck.errors import UserError
from limbeck.workers.local import Message
from limbeck.workers.process import Surroundings

PATIENCE = 60
"""Seconds within which a cluster must start a worker."""
_LOOK = 1.0
"""Seconds for which an actor waits for a message of its worker."""
_SURROUNDINGS = ("LIMBECK_", "HF_")
"""Prefixes of variables that say where data are; workers elsewhere get the values of this process."""
_SHARE = (
    "the machines of a Ray cluster must have limbeck and share with this one, under the same paths, the files of the "
    "images, limbeck's cache and the folder that the result goes to. See to that"
)


def is_wanted() -> bool:
    """Whether this process is connected to a cluster, or RAY_ADDRESS names one."""
    ray = sys.modules.get("ray")
    return bool(os.environ.get("RAY_ADDRESS")) or (ray is not None and ray.is_initialized())


class RayWorker:
    """An actor with a worker's process beside it on its machine."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.heard = actor.receive.remote(_LOOK)
        self.cause = "its machine or Ray ended it"

    def send(self, message: Message) -> None:
        self.actor.send.remote(message)


class RayPlace:
    """Starts workers on a cluster.

    Args:
        ray: the module, connected.
        joined: whether the cluster was there before.
        count: number of workers.
    """

    def __init__(self, ray: Any, *, joined: bool, count: int) -> None:
        self.ray = ray
        self.count = count
        self.joined = joined
        gpus = ray.cluster_resources().get("GPU", 0)
        self._actor = ray.remote(num_cpus=1, num_gpus=min(1, gpus / count), max_concurrency=2)(_actor())
        self._since = time.monotonic()
        self._started = False
        self.advice = f"; {_SHARE}, or unset RAY_ADDRESS to work on this machine" if joined else ""

    def prepare(self) -> None:
        """Nothing to prepare: workers on a cluster share no imports."""

    def have_done(self, work: Callable[[], object]) -> None:
        """Does nothing: background work is for this machine."""

    def hire(self) -> RayWorker:
        return RayWorker(self._actor.remote(list(sys.path)))

    def surroundings(self, worker: RayWorker, shared: Sequence[Path], threads: int) -> Surroundings:
        variables = {name: value for name, value in os.environ.items() if name.startswith(_SURROUNDINGS)}
        paths = tuple(str(path.absolute()) for path in shared)
        machines = max(1, len([node for node in self.ray.nodes() if node["Alive"]]))
        per_machine = -(-self.count // machines)
        return Surroundings(variables, str(Path.cwd()), paths, exact=False, threads=threads, workers=per_machine)

    def receive(self, workers: Sequence[RayWorker], seconds: float) -> Iterator[tuple[RayWorker, Message | None]]:
        """See `LocalPlace.receive`."""
        waiting = {worker.heard: worker for worker in workers}
        ready, _ = self.ray.wait(list(waiting), num_returns=1, timeout=seconds)
        if not ready and not self._started and self.joined and time.monotonic() - self._since > PATIENCE:
            has, free = (
                resources.get("CPU", 0) for resources in (self.ray.cluster_resources(), self.ray.available_resources())
            )
            raise UserError(
                f"Ray's cluster started no worker within {PATIENCE} s; it has {has:.0f} CPUs, {free:.0f} of them "
                "free, and every worker takes one. Wait until there are some, or unset RAY_ADDRESS to work on this "
                "machine."
            )
        for reference in ready:
            worker, self._started = waiting[reference], True
            try:
                messages = self.ray.get(reference)
            except self.ray.exceptions.RayActorError as error:
                worker.cause = str(error)
                messages = [None]
            if None not in messages:
                worker.heard = worker.actor.receive.remote(_LOOK)
            for message in messages:
                if message is not None and message[0] == "gone":
                    worker.cause, message = message[1], None
                yield worker, message

    def cause(self, worker: RayWorker) -> str:
        self.ray.kill(worker.actor)
        return worker.cause

    def dismiss(self, workers: Sequence[RayWorker], *, seconds: float) -> None:
        """See `LocalPlace.dismiss`."""
        leaving = [worker.actor.leave.remote(seconds) for worker in workers]
        try:
            self.ray.wait(leaving, num_returns=len(leaving), timeout=seconds if self._started else 0)
        finally:
            for worker in workers:
                self.ray.kill(worker.actor)


def _actor() -> type[Any]:
    """The class of the actor; made here so that Ray sends its code to machines that may lack limbeck."""

    class Relay:
        """Starts a worker on its machine and passes messages on; two calls at a time."""

        def __init__(self, path: list[str]) -> None:
            self.said = ""
            try:
                from limbeck.workers.local import LocalPlace

                self.place = LocalPlace()
                self.worker = self.place.hire()
            except Exception as error:
                self.said = f"on {platform.node()} cannot begin ({type(error).__name__}: {error})"

        def send(self, message: Message) -> None:
            if not self.said:
                self.worker.send(message)

        def receive(self, seconds: float) -> list[Message]:
            """The messages of the worker within `seconds`; last of all ("gone", how it ended)."""
            if self.said:
                return [("broken", self.said)]
            messages = []
            while heard := list(self.place.receive([self.worker], 0 if messages else seconds)):
                message = heard[0][1]
                messages.append(("gone", self.place.cause(self.worker)) if message is None else message)
                if message is None:
                    break
            return messages

        def leave(self, seconds: float) -> None:
            if not self.said:
                self.place.dismiss([self.worker], seconds=seconds)

    return Relay


@contextmanager
def connected(count: int) -> Iterator[RayPlace]:
    """Ray's cluster: the one this process is connected to or RAY_ADDRESS names; "local" has Ray start one here.

    It is left in the state it was in.

    Raises:
        UserError: Ray is not installed, or the cluster cannot be joined.
    """
    if importlib.util.find_spec("ray") is None:
        raise UserError(
            f"RAY_ADDRESS is {os.environ['RAY_ADDRESS']!r}, and Ray is not installed; `pip install 'limbeck[scale]'`, "
            "or unset RAY_ADDRESS to work on this machine."
        )
    ray = importlib.import_module("ray")
    if ray.is_initialized():
        yield RayPlace(ray, joined=True, count=count)
        return
    address = os.environ["RAY_ADDRESS"]
    # A cluster that others started on this machine is joined only if RAY_ADDRESS says so, by name or as "auto".
    quiet = {"log_to_driver": False, "configure_logging": False}
    try:
        if address == "local":
            ray.init(address="local", num_cpus=max(count, os.cpu_count() or 1), include_dashboard=False, **quiet)
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
        yield RayPlace(ray, joined=address != "local", count=count)
    finally:
        ray.shutdown()


def _show_token(address: str) -> None:
    """Has Ray show this user's token, if there is one, to a cluster on this machine, which then asks for it.

    `ray start` does the same by itself, joining by an address does not.
    """
    if address.startswith(("127.0.0.1:", "localhost:", "[::1]:")):
        with suppress(ImportError):  # older versions have no tokens
            from ray._private.authentication import authentication_token_setup as tokens

            tokens.maybe_enable_token_auth_if_token_available(warn_if_disabled=False)


def _knock(address: str) -> None:
    """Raises an `OSError` where nobody listens at "host:port", which Ray would take minutes to find out."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdecimal() and "://" not in address:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
