"""What happens between two steps of making images: saving the state, showing progress, stopping."""

import time
from collections.abc import Callable

from limbeck.interruption import Interrupted, StopRequest
from limbeck.progress import Progress

SAVE_SECONDS = 20.0
"""Least time between two saves of the state while images are made."""
WORTH_SHOWING = 2.0
"""Seconds after which making images gets a line or a bar of its own."""
_SHARE = 0.05  # of the time, at most, that goes into saving the state


class Pace:
    """Called after every step of an optimiser.

    Args:
        save: saves the state.
        stop: true once somebody wants to stop.
        progress: reports progress.
        total: how often it will be called, about.
        note: a few words on how it goes.
        clock: seconds since an arbitrary start.

    Raises:
        Interrupted: somebody wants to stop; the state was saved.
    """

    def __init__(
        self,
        save: Callable[[], None],
        stop: StopRequest,
        progress: Progress,
        *,
        total: int,
        note: Callable[[], str],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.save = save
        self.stop = stop
        self.progress = progress
        self.total = total
        self.note = note
        self.clock = clock
        self.done = 0
        self.begun = self.saved = clock()
        self.writing = 0.0  # seconds that the last save took
        self._shown = False

    def __call__(self) -> bool:
        """Returns False, so that the caller goes on, unless it raises."""
        self.done += 1
        now = self.clock()
        if self.stop:
            self.save()
            raise Interrupted(f"stopped while images were made: {self.note()}")
        if now - self.saved >= max(SAVE_SECONDS, self.writing / _SHARE):
            self.save()
            self.saved = self.clock()
            self.writing = self.saved - now
        if now - self.begun > WORTH_SHOWING:
            self._show()
        return False

    def close(self) -> None:
        if self._shown:
            self.progress.end()

    def _show(self) -> None:
        done = min(self.done, self.total)  # replacing pruned images takes steps that the total does not include
        if not self._shown:
            self.progress.begin("making images", self.total, done)
            self._shown = True
        self.progress.update(done, self.note())
