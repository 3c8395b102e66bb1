"""Time and energy of parts of a run, added up over its interruptions."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from limbeck.cost import Cost
from limbeck.evaluation.energy import EnergyMeter
from limbeck.training.run_folder import RunFolder

MAKING, TEACHING = "making-energy.json", "energy.json"
"""Where each part's are kept."""


@contextmanager
def metering(run_folder: RunFolder, name: str) -> Iterator[None]:
    """Adds seconds and energy of what happens inside to those in the file `name`, also where it is interrupted."""
    meter, started = EnergyMeter(), time.perf_counter()
    try:
        with meter:
            yield
    finally:
        before = run_folder.read(name) or {}
        energy, seconds = meter.energy, time.perf_counter() - started
        sums = {"kwh": before.get("kwh", 0.0) + energy["kwh"], "seconds": before.get("seconds", 0.0) + seconds}
        run_folder.write(name, {**energy, **sums})


def at_least(cost: Cost, here: Cost) -> Cost:
    """What a maker says that its work took, where that is not less than the time and energy that were metered here.

    Some of it may have been done for another run, and some of it twice, where this one was stopped on the way.
    """
    seconds, kwh = max(cost.seconds, here.seconds), max(cost.kwh, here.kwh)
    return replace(cost, seconds=seconds, kwh=kwh, measured=cost.measured and here.measured)


def metered(run_folder: RunFolder, name: str) -> Cost:
    """Seconds and energy that the file `name` knows of."""
    found = run_folder.read(name) or {}
    measured = found.get("kind", "measured") == "measured"
    return Cost(seconds=found.get("seconds", 0.0), kwh=found.get("kwh", 0.0), measured=measured)
