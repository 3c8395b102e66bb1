"""Progress of a worker's task: sent as events by the worker, replayed in the process that shows it."""

import time
from collections.abc import Callable
from typing import Any

from limbeck.progress import Progress

_SECONDS_BETWEEN_UPDATES = 0.1

Event = tuple[str, tuple[Any, ...]]
"""A method of `Progress` and its arguments."""


class RelayedProgress:
    """Sends its calls as events; of updates, which come with every step, the last of each tenth of a second.

    Args:
        send: takes an event to where it is replayed.
    """

    def __init__(self, send: Callable[[Event], None]) -> None:
        self._send = send
        self._sent = 0.0
        self._waiting: Event | None = None

    def begin(self, title: str, total: int, done: int = 0) -> None:
        self._tell("begin", title, total, done)

    def update(self, done: int, note: str = "") -> None:
        self._waiting = ("update", (done, note))
        if time.monotonic() - self._sent >= _SECONDS_BETWEEN_UPDATES:
            self._flush()

    def end(self) -> None:
        self._tell("end")

    def say(self, message: str) -> None:
        self._tell("say", message)

    def beside(self, title: str) -> Progress:
        """Itself: tasks side by side are told apart where they are shown, by a line for each."""
        return self

    def close(self, outcome: str = "") -> None:
        if outcome:
            self.say(outcome)

    def _tell(self, name: str, *arguments: Any) -> None:
        self._flush()
        self._send((name, arguments))

    def _flush(self) -> None:
        if self._waiting is not None:
            self._send(self._waiting)
            self._waiting, self._sent = None, time.monotonic()


class Line:
    """Replays the events of one task.

    Args:
        progress: of that task alone.
    """

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._open = 0

    def replay(self, event: Event) -> None:
        name, arguments = event
        self._open += {"begin": 1, "end": -1}.get(name, 0)
        getattr(self.progress, name)(*arguments)

    def close(self, outcome: str = "") -> None:
        """Ends what the task had begun, even if it was stopped or died."""
        for _ in range(self._open):
            self.progress.end()
        self._open = 0
        self.progress.close(outcome)
