"""Counters of energy in hardware: the processor's by RAPL, those of NVIDIA's GPUs by NVML."""

import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType

import torch
from torch import distributed

POWERCAP = Path("/sys/class/powercap")


class Counter:
    """The energy that a device takes from `start` on.

    Args:
        name: of the device.
        read: returns joules since the device began to count; raises if it cannot be read.
        range: joules at which the counter starts again at 0; None if only a restart of the driver resets it.

    Attributes:
        joules: as of the last `update`.
        failed: whether a reading failed, so that `joules` is incomplete.
    """

    def __init__(self, name: str, read: Callable[[], float], range: float | None = None) -> None:
        self.name = name
        self.read = read
        self.range = range
        self.joules = 0.0
        self.failed = False
        self._last = read()  # raises if there is no counter

    def start(self) -> None:
        """Counts from now on."""
        self.update()
        self.joules = 0.0

    def update(self) -> None:
        """Adds what was taken since the last reading."""
        try:
            reading = self.read()
        except Exception:  # whatever a driver raises; the record then says that the device is not counted
            self.failed = True
            return
        joules = reading - self._last
        if joules < 0:
            joules = reading if self.range is None else joules + self.range
        self.joules += joules
        self._last = reading


def processor_counters() -> list[Counter]:
    """One for every processor package whose counter can be read; often only root can."""
    counters = []
    for zone in sorted(POWERCAP.glob("intel-rapl:*")):  # AMD's processors have the same name here
        if not re.fullmatch(r"intel-rapl:\d+", zone.name):
            continue  # a part of a package
        try:
            name, limit = (zone / "name").read_text().strip(), _joules(zone / "max_energy_range_uj")
            if name.startswith("package"):
                counters.append(Counter(f"processor {name}", partial(_joules, zone / "energy_uj"), limit))
        except (OSError, ValueError):
            return []  # some of the packages would pass for all of them
    return counters


def gpu_counters() -> dict[str, Counter]:
    """UUID -> counter of every NVIDIA GPU of the machine that has one (those before Volta have none)."""
    try:
        import pynvml  # pyright: ignore[reportMissingImports]
    except ImportError:
        return {}
    counters = {}
    try:
        pynvml.nvmlInit()
        for index in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            uuid, name = _text(pynvml.nvmlDeviceGetUUID(handle)), _text(pynvml.nvmlDeviceGetName(handle))
            try:
                counters[_bare(uuid)] = Counter(f"{name} {uuid}", partial(_gpu_joules, pynvml, handle))
            except pynvml.NVMLError:
                continue  # not supported by this device
    except pynvml.NVMLError:
        return counters  # no driver, or no permission to read it
    return counters


def uuids_in_use() -> list[str]:
    """UUIDs of the GPUs that this process, or the processes of this machine that share its run, have used.

    CUDA_VISIBLE_DEVICES hides and renumbers devices, so those that torch sees are identified by UUID.
    """
    if not torch.cuda.is_initialized():
        return []
    shared = distributed.is_available() and distributed.is_initialized()
    local_processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if shared else 0
    return [
        _bare(str(getattr(torch.cuda.get_device_properties(index), "uuid", index)))
        for index in range(torch.cuda.device_count())
        if index < local_processes or torch.cuda.max_memory_reserved(index) > 0
    ]


def _joules(path: Path) -> float:
    return int(path.read_text()) / 1e6


def _gpu_joules(pynvml: ModuleType, handle: object) -> float:
    return pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3


def _text(value: str | bytes) -> str:
    """Older versions of the package give bytes."""
    return value.decode() if isinstance(value, bytes) else value


def _bare(uuid: str) -> str:
    return uuid.lower().removeprefix("gpu-")
