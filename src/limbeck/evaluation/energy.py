"""Electric energy of a run: read from hardware counters where they can be, estimated from processor time elsewhere.

The counters (RAPL of the processor, NVML of NVIDIA's accelerators) are read through codecarbon, an extra. Where it
is absent or finds no counter, the processor's share is

    kWh = processor seconds x WATTS_PER_CORE / 3.6e6

and the record says so. Memory, cooling and idling are never counted.
"""

import logging
import os
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Literal, TypedDict, get_args

import torch

from limbeck.errors import UserError, unknown_name

WATTS_PER_CORE = 12.0
"""Thermal design power per core of an unknown processor, as the Green Algorithms calculator takes it (Lannelongue,
Grealey and Inouye, "Green Algorithms: quantifying the carbon footprint of computation", Advanced Science 2021, entry
"Any" of its table TDP_cpu.csv)."""

JOULES_PER_KWH = 3.6e6

Source = Literal["auto", "codecarbon", "estimate"]


class Energy(TypedDict):
    """Energy in kWh, whether all of it was "measured" or some "estimated", and how, in words."""

    kwh: float
    kind: Literal["measured", "estimated"]
    how: str


class EnergyMeter:
    """Context manager that tells the energy used inside it.

    Args:
        source: "auto" reads counters where codecarbon is installed and finds some, else estimates; "codecarbon" does
            the same but insists on codecarbon; "estimate" never imports it.

    Raises:
        UserError: an unknown source, or codecarbon was asked for and is not installed.

    Example:
        >>> with EnergyMeter(source="estimate") as meter:
        ...     logits = lb.evaluation.predict(student, images)
        >>> meter.energy
        {'kwh': ..., 'kind': 'estimated', 'how': '... processor seconds x ... W per core'}
    """

    def __init__(self, *, source: Source = "auto") -> None:
        if source not in get_args(Source):
            raise unknown_name("energy source", source, get_args(Source))
        installed = source != "estimate" and find_spec("codecarbon") is not None
        if source == "codecarbon" and not installed:
            raise UserError("energy source 'codecarbon' needs the package codecarbon; `pip install 'limbeck[energy]'`.")
        self._rapl, self._nvml = _counters() if installed else (False, False)
        self._tracker: Any = None
        self._started = 0.0
        self._result: Energy | None = None

    def __enter__(self) -> "EnergyMeter":
        if self._rapl or self._nvml:
            self._tracker = _tracker()
            self._tracker.start()
        self._started = _processor_seconds()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        seconds = _processor_seconds() - self._started
        processor = accelerator = 0.0
        if self._tracker is not None:
            self._tracker.stop()
            processor = self._tracker.final_emissions_data.cpu_energy
            accelerator = self._tracker.final_emissions_data.gpu_energy
        self._result = _energy(seconds, processor if self._rapl else None, accelerator if self._nvml else None)

    @property
    def energy(self) -> Energy:
        """What was used between entering and leaving the context."""
        assert self._result is not None, "`energy` is known once the context has been left"
        return self._result


def _energy(seconds: float, processor: float | None, accelerator: float | None) -> Energy:
    """The record, from processor seconds and the kWh that counters gave (None: no counter)."""
    unseen = accelerator is None and torch.cuda.is_initialized()
    parts = []
    if processor is None:
        processor, kind = seconds * WATTS_PER_CORE / JOULES_PER_KWH, "estimated"
        parts.append(f"{seconds:.1f} processor seconds x {WATTS_PER_CORE:g} W per core")
    else:
        kind = "estimated" if unseen else "measured"
        parts.append("processor of the whole machine by RAPL")
    if accelerator is not None:
        parts.append("accelerators of the whole machine by NVML")
    elif unseen:
        parts.append("the accelerator is not counted")
    return {"kwh": processor + (accelerator or 0.0), "kind": kind, "how": "; ".join(parts)}


def _processor_seconds() -> float:
    """Of this process with all of its threads, and of those child processes that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _counters() -> tuple[bool, bool]:
    """Whether codecarbon can read (RAPL, NVML) here."""
    from codecarbon.core import cpu, gpu

    _hush_codecarbon()
    return cpu.is_rapl_available(), gpu.is_gpu_details_available()


def _tracker() -> Any:
    """A codecarbon tracker that writes no file, asks no server and says nothing."""
    from codecarbon import OfflineEmissionsTracker

    _hush_codecarbon()
    # A country is needed to start; it changes the carbon, which is not reported, and not the energy.
    return OfflineEmissionsTracker(country_iso_code="FRA", output_methods=[], log_level="critical")


def _hush_codecarbon() -> None:
    """Its own `log_level` takes effect only after its first messages; importing it undoes an earlier level."""
    logging.getLogger("codecarbon").setLevel(logging.CRITICAL)
