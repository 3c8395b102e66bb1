"""Ctrl-C and SIGTERM as a request to stop after the current step."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop; its state is in the last checkpoint."""


class Paused(Exception):
    """The run has done as many steps as it was given for now; its state is in the last checkpoint.

    Attributes:
        step: steps done.
        steps: of the whole run.
        cost: of the steps done, as `Cost.to_dict` has it.
    """

    def __init__(self, step: int, steps: int, cost: dict[str, Any]) -> None:
        super().__init__(f"paused at step {step} of {steps}")
        self.step = step
        self.steps = steps
        self.cost = cost


class StopRequest:
    """True once a stop was requested."""

    def __init__(self) -> None:
        self.requested = False

    def __bool__(self) -> bool:
        return self.requested


@contextmanager
def listening_for_stop() -> Iterator[StopRequest]:
    """Turns the first SIGINT or SIGTERM into a request; a second one has its usual effect at once."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
        yield request
        return
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def request_stop(number: int, frame: FrameType | None) -> None:
        request.requested = True
        for stop_signal, handler in previous.items():
            signal.signal(stop_signal, handler)

    for number in previous:
        signal.signal(number, request_stop)
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
