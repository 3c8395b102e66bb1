"""Electric energy of a run: read from hardware counters where there are any, estimated from processor time elsewhere.

The processor's counter is RAPL, which Linux shows in `/sys/class/powercap`; those of NVIDIA's GPUs are read by NVML
(the extra `energy`), which counts all that a device took since its driver was loaded. Where the processor's counter
cannot be read, its energy is estimated as

    kWh = processor seconds x WATTS_PER_CORE / 3.6e6

and the record says so. Counters cover whole devices, whoever uses them. Memory and cooling are never counted.

One of several workers on a machine would count what all of them take, and their sum many times what was taken. It
therefore estimates: its processor's energy from its own processor seconds, in which those of the others are not, and as
a GPU has no such account by process, the counter of a GPU that they share divided by their number. That is too little
where the others have nothing to do.

Of the processes that share a run, as torchrun starts them, each knows its own processor seconds alone. Those that meter
it `together` add them up as they leave; before that, and where one fails, the seconds of one stand for those of each.
"""

import os
import threading
from types import TracebackType
from typing import Literal, TypedDict, get_args

from torch import distributed

from limbeck.errors import UserError, unknown_name
from limbeck.evaluation.energy_counters import Counter, gpu_counters, processor_counters, uuids_in_use
from limbeck.memory import sharers

WATTS_PER_CORE = 12.0
"""Thermal design power per core of an unknown processor, as the Green Algorithms calculator takes it (Lannelongue,
Grealey and Inouye, "Green Algorithms: quantifying the carbon footprint of computation", Advanced Science 2021, entry
"Any" of its table TDP_cpu.csv)."""

JOULES_PER_KWH = 3.6e6
SECONDS_BETWEEN_READINGS = 10.0
"""Often enough to notice that a processor's counter starts again at 0, after some minutes of full load."""

MeterKind = Literal["auto", "counters", "estimate"]


class Energy(TypedDict):
    """Energy in kWh, whether all of it was "measured" or some "estimated", how, in words, and of which devices."""

    kwh: float
    kind: Literal["measured", "estimated"]
    how: str
    devices: list[str]


class EnergyMeter:
    """Context manager that measures the energy used inside it: of the processor, and of the GPUs that the process uses.

    Args:
        meter: "auto" reads the counters that there are and estimates the processor's share where it has none, or where
            this process is one of several workers on its machine; "counters" insists on the processor's, of the whole
            machine; "estimate" reads none.
        together: whether all processes that share a run enter and leave the context, so that the estimate is of all.

    Raises:
        UserError: an unknown kind of meter, or "counters" where the processor's cannot be read.

    Example:
        >>> with EnergyMeter(meter="estimate") as meter:
        ...     logits = lb.evaluation.predict(student, images)
        >>> meter.energy
        {'kwh': ..., 'kind': 'estimated', 'how': '... processor seconds x ... W per core', 'devices': ['processor']}
    """

    def __init__(self, *, meter: MeterKind = "auto", together: bool = False) -> None:
        if meter not in get_args(MeterKind):
            raise unknown_name("energy meter", meter, get_args(MeterKind))
        reads = meter != "estimate"
        self._sharers = 1 if meter == "counters" else sharers()
        self._processors = processor_counters() if reads and self._sharers == 1 else []
        self._gpus = gpu_counters() if reads else {}  # of the whole machine; which are ours is known at the end
        if meter == "counters" and not self._processors:
            raise UserError(
                "energy meter 'counters' finds no readable /sys/class/powercap/intel-rapl:*/energy_uj; run where Linux "
                "shows it, as root or after `chmod a+r` on it, or choose 'auto', which estimates."
            )
        self._left = threading.Event()
        self._reader = threading.Thread(target=self._keep_reading, name="energy", daemon=True)
        self._started = 0.0
        self._together = together
        self._result: Energy | None = None

    def __enter__(self) -> "EnergyMeter":
        for counter in self._counters():
            counter.start()
        if self._counters():
            self._reader.start()
        self._started = _processor_seconds()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        own = _processor_seconds() - self._started
        if self._counters():
            self._left.set()
            self._reader.join()
        self._result = self._energy(_of_all(own) if self._processes > 1 and kind is None else self._about_all(own))

    def so_far(self) -> Energy:
        """What was used since the context was entered, up to the counters' last reading."""
        return self._energy(self._about_all(_processor_seconds() - self._started))

    @property
    def energy(self) -> Energy:
        """What was used between entering and leaving the context."""
        assert self._result is not None, "`energy` is known once the context has been left"
        return self._result

    @property
    def _processes(self) -> int:
        """How many processes meter together."""
        shared = self._together and distributed.is_available() and distributed.is_initialized()
        return distributed.get_world_size() if shared else 1

    def _about_all(self, own: float) -> tuple[float, str]:
        """Processor seconds of all processes, each as many as this one's, and how they were found."""
        count = self._processes
        return own * count, "" if count == 1 else f" ({count} processes, each as this one)"

    def _energy(self, seconds: tuple[float, str]) -> Energy:
        return _energy(*seconds, self._processors, self._gpus, uuids_in_use(), self._sharers)

    def _counters(self) -> list[Counter]:
        return [*self._processors, *self._gpus.values()]

    def _keep_reading(self) -> None:
        """Reads all counters at intervals, and once more at the end."""
        leaving = False
        while not leaving:
            leaving = self._left.wait(SECONDS_BETWEEN_READINGS)
            for counter in self._counters():
                counter.update()


def _energy(
    seconds: float, whose: str, processors: list[Counter], gpus: dict[str, Counter], used: list[str], sharers: int
) -> Energy:
    """The record, from processor seconds and a remark on whose these are, the counters of processors and GPUs, the
    UUIDs of the GPUs in use, and how many workers share these."""
    joules, measured, parts, devices = 0.0, True, list[str](), list[str]()
    if processors and not any(counter.failed for counter in processors):
        joules += sum(counter.joules for counter in processors)
        parts.append("processor of the whole machine by RAPL")
        devices += [counter.name for counter in processors]
    else:
        joules, measured = seconds * WATTS_PER_CORE, False
        parts.append(f"{seconds:.1f} processor seconds x {WATTS_PER_CORE:g} W per core{whose}")
        devices.append("processor")
    counted = [gpus[uuid] for uuid in used if uuid in gpus and not gpus[uuid].failed]
    if counted:
        joules += sum(counter.joules for counter in counted) / sharers
        names = ", ".join(counter.name for counter in counted)
        parts.append(f"{names} by NVML" + (f", divided by {sharers} workers" if sharers > 1 else ""))
        devices += [counter.name for counter in counted]
    if unseen := len(used) - len(counted):
        measured = False
        parts.append(f"{unseen} GPU{'s' if unseen > 1 else ''} not counted")
    kind = "measured" if measured else "estimated"
    return {"kwh": joules / JOULES_PER_KWH, "kind": kind, "how": "; ".join(parts), "devices": devices}


def _of_all(own: float) -> tuple[float, str]:
    """Processor seconds of the processes that share a run, each of which calls this, added up."""
    seconds: list[float] = [0.0] * distributed.get_world_size()
    distributed.all_gather_object(seconds, own)
    return sum(seconds), f" ({len(seconds)} processes)"


def _processor_seconds() -> float:
    """Of this process with all of its threads, and of those child processes that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
