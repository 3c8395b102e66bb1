"""Time and energy of parts of a run, summed over interruptions."""

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
"""Files in a run folder that keep time and energy of making and of training."""

SECONDS_BETWEEN_NOTES = 10.0
"""Interval at which time and energy are written: the most that a killed process loses."""


@contextmanager
def metering(run_folder: RunFolder, name: str, *, together: bool = False) -> Iterator[None]:
    """Adds seconds and energy of the block to those in the file `name`, even if it is interrupted.

    Args:
        run_folder: that the file is in.
        name: of the file.
        together: whether all processes that share the run enter and leave the block, and not the first alone.
    """
    before = run_folder.read(name) or {}
    meter, started = EnergyMeter(together=together), time.perf_counter()

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
            except (UserError, OSError):  # the disk is full; the last note reports it
                return

    thread = threading.Thread(target=keep_noting, name="metering", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def at_least(cost: Cost, here: Cost) -> Cost:
    """The cost that a maker reports, with time and energy raised to those metered here if these are larger.

    The maker's may be larger as work was done for another run, those metered here as work was repeated after a stop.
    """
    seconds, kwh = max(cost.seconds, here.seconds), max(cost.kwh, here.kwh)
    return replace(cost, seconds=seconds, kwh=kwh, measured=cost.measured and here.measured)


def metered(run_folder: RunFolder, name: str) -> Cost:
    """Seconds and energy in the file `name`."""
    noted = run_folder.read(name) or {}
    measured = noted.get("kind", "measured") == "measured"
    return Cost(seconds=noted.get("seconds", 0.0), kwh=noted.get("kwh", 0.0), measured=measured)
