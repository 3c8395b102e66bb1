"""Electric energy of a run: read from hardware counters where there are any, estimated from processor time elsewhere.

The processor's counter is RAPL, which Linux shows in `/sys/class/powercap`; those of NVIDIA's GPUs are read by NVML
(the extra `energy`), which counts all that a device took since its driver was loaded. Where the processor's counter
cannot be read, its energy is estimated as

    kWh = processor seconds x WATTS_PER_CORE / 3.6e6

and the record says so. Counters cover whole devices, whoever uses them. Memory and cooling are never counted.
"""

import os
import threading
from types import TracebackType
from typing import Literal, TypedDict, get_args

from limbeck.errors import UserError, unknown_name
from limbeck.evaluation.energy_counters import Counter, gpu_counters, processor_counters, uuids_in_use

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
        meter: "auto" reads the counters that there are and estimates the processor's share where it has none;
            "counters" insists on the processor's; "estimate" reads none.

    Raises:
        UserError: an unknown kind of meter, or "counters" where the processor's cannot be read.

    Example:
        >>> with EnergyMeter(meter="estimate") as meter:
        ...     logits = lb.evaluation.predict(student, images)
        >>> meter.energy
        {'kwh': ..., 'kind': 'estimated', 'how': '... processor seconds x ... W per core', 'devices': ['processor']}
    """

    def __init__(self, *, meter: MeterKind = "auto") -> None:
        if meter not in get_args(MeterKind):
            raise unknown_name("energy meter", meter, get_args(MeterKind))
        reads = meter != "estimate"
        self._processors = processor_counters() if reads else []
        self._gpus = gpu_counters() if reads else {}  # of the whole machine; which are ours is known at the end
        if meter == "counters" and not self._processors:
            raise UserError(
                "energy meter 'counters' finds no readable /sys/class/powercap/intel-rapl:*/energy_uj; run where Linux "
                "shows it, as root or after `chmod a+r` on it, or choose 'auto', which estimates."
            )
        self._left = threading.Event()
        self._reader = threading.Thread(target=self._keep_reading, name="energy", daemon=True)
        self._started = 0.0
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
        seconds = _processor_seconds() - self._started
        if self._counters():
            self._left.set()
            self._reader.join()
        self._result = _energy(seconds, self._processors, self._gpus, uuids_in_use())

    def so_far(self) -> Energy:
        """What was used since the context was entered, up to the counters' last reading."""
        return _energy(_processor_seconds() - self._started, self._processors, self._gpus, uuids_in_use())

    @property
    def energy(self) -> Energy:
        """What was used between entering and leaving the context."""
        assert self._result is not None, "`energy` is known once the context has been left"
        return self._result

    def _counters(self) -> list[Counter]:
        return [*self._processors, *self._gpus.values()]

    def _keep_reading(self) -> None:
        """Reads all counters at intervals, and once more at the end."""
        leaving = False
        while not leaving:
            leaving = self._left.wait(SECONDS_BETWEEN_READINGS)
            for counter in self._counters():
                counter.update()


def _energy(seconds: float, processors: list[Counter], gpus: dict[str, Counter], used: list[str]) -> Energy:
    """The record, from processor seconds, the counters of processors and GPUs, and the UUIDs of the GPUs in use."""
    joules, measured, parts, devices = 0.0, True, list[str](), list[str]()
    if processors and not any(counter.failed for counter in processors):
        joules += sum(counter.joules for counter in processors)
        parts.append("processor of the whole machine by RAPL")
        devices += [counter.name for counter in processors]
    else:
        joules, measured = seconds * WATTS_PER_CORE, False
        parts.append(f"{seconds:.1f} processor seconds x {WATTS_PER_CORE:g} W per core")
        devices.append("processor")
    counted = [gpus[uuid] for uuid in used if uuid in gpus and not gpus[uuid].failed]
    if counted:
        joules += sum(counter.joules for counter in counted)
        names = ", ".join(counter.name for counter in counted)
        parts.append(f"{names} by NVML")
        devices += [counter.name for counter in counted]
    if unseen := len(used) - len(counted):
        measured = False
        parts.append(f"{unseen} GPU{'s' if unseen > 1 else ''} not counted")
    kind = "measured" if measured else "estimated"
    return {"kwh": joules / JOULES_PER_KWH, "kind": kind, "how": "; ".join(parts), "devices": devices}


def _processor_seconds() -> float:
    """Of this process with all of its threads, and of those child processes that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
