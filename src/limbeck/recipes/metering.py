"""Time and energy of parts of a run, added up over its interruptions."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from limbeck.cost import Cost
from limbeck.errors import UserError
from limbeck.evaluation.energy import Energy, EnergyMeter
from limbeck.training.run_folder import RunFolder

MAKING, TEACHING = "making-energy.json", "energy.json"
"""Where each part's are kept."""

SECONDS_BETWEEN_NOTES = 10.0
"""A process that is killed leaves what it took up to the last."""


@contextmanager
def metering(run_folder: RunFolder, name: str) -> Iterator[None]:
    """Adds seconds and energy of what happens inside to those in the file `name`, also where it is interrupted."""
    before = run_folder.read(name) or {}
    meter, started = EnergyMeter(), time.perf_counter()

    def note(energy: Energy) -> None:
        seconds = time.perf_counter() - started
        sums = {"kwh": before.get("kwh", 0.0) + energy["kwh"], "seconds": before.get("seconds", 0.0) + seconds}
        run_folder.write(name, {**energy, **sums})

    try:
        with meter, _now_and_then(lambda: note(meter.so_far())):
            yield
    finally:
        note(meter.energy)


@contextmanager
def _now_and_then(note: Callable[[], None]) -> Iterator[None]:
    stopped = threading.Event()

    def keep_noting() -> None:
        while not stopped.wait(SECONDS_BETWEEN_NOTES):
            try:
                note()
            except (UserError, OSError):  # of a disk that is full now; the last note says so
                return

    thread = threading.Thread(target=keep_noting, name="metering", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def at_least(cost: Cost, here: Cost) -> Cost:
    """What a maker says that its work took, where that is not less than the time and energy that were metered here.

    Some of it may have been done for another run, and some of it twice, where this one was stopped on the way.
    """
    seconds, kwh = max(cost.seconds, here.seconds), max(cost.kwh, here.kwh)
    return replace(cost, seconds=seconds, kwh=kwh, measured=cost.measured and here.measured)


def metered(run_folder: RunFolder, name: str) -> Cost:
    """Seconds and energy that the file `name` knows of."""
    noted = run_folder.read(name) or {}
    measured = noted.get("kind", "measured") == "measured"
    return Cost(seconds=noted.get("seconds", 0.0), kwh=noted.get("kwh", 0.0), measured=measured)
