import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from limbeck import memory
from limbeck.errors import UserError
from limbeck.evaluation import energy, energy_counters
from limbeck.evaluation.energy import EnergyMeter
from limbeck.evaluation.energy_counters import Counter, gpu_counters, processor_counters, uuids_in_use

RANGE = 262_143_328_850
"""Microjoules at which the counter of common processors wraps around."""


class FakeNvml(SimpleNamespace):
    """GPUs by UUID with millijoules, None for one without a counter."""

    class NVMLError(Exception):
        pass

    def __init__(self, gpus: dict[str, int | None], driver: bool = True) -> None:
        super().__init__(gpus=gpus, driver=driver)

    def nvmlInit(self) -> None:
        if not self.driver:
            raise self.NVMLError("driver not loaded")

    def nvmlDeviceGetCount(self) -> int:
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:
        return list(self.gpus)[index]

    def nvmlDeviceGetUUID(self, handle: str) -> str | bytes:
        return handle.encode() if handle.endswith("bytes") else handle

    def nvmlDeviceGetName(self, handle: str) -> str:
        return "H100"

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:
        count = self.gpus[handle]
        if count is None:
            raise self.NVMLError("not supported")
        return count


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    """Four GPUs, of which this process uses none yet."""
    fake = FakeNvml({"GPU-aa": 5_000_000, "GPU-bb": 7_000_000, "GPU-cc": None, "GPU-bytes": 1_000_000})
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    return fake


@pytest.fixture
def powercap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The kernel's folder, of a machine without a counter."""
    monkeypatch.setattr(energy_counters, "POWERCAP", tmp_path)
    return tmp_path


def package(powercap: Path, zone: str, name: str, microjoules: int = 0) -> Path:
    folder = powercap / zone
    folder.mkdir()
    for file, content in (("name", name), ("max_energy_range_uj", RANGE), ("energy_uj", microjoules)):
        (folder / file).write_text(f"{content}\n")
    return folder / "energy_uj"


def uses(monkeypatch: pytest.MonkeyPatch, *uuids: str) -> None:
    monkeypatch.setattr(energy, "uuids_in_use", lambda: list(uuids))


def test_estimate_is_processor_seconds_times_watts(monkeypatch):
    clock = iter([100.0, 400.0])
    monkeypatch.setattr(energy, "_processor_seconds", lambda: next(clock))
    with EnergyMeter(meter="estimate") as meter:
        pass
    assert meter.energy["kwh"] == pytest.approx(300 * 12 / 3.6e6)
    assert meter.energy["kind"] == "estimated"
    assert meter.energy["how"] == "300.0 processor seconds x 12 W per core"
    assert meter.energy["devices"] == ["processor"]


def test_work_costs_energy():
    with EnergyMeter(meter="estimate") as meter:
        sum(i * i for i in range(2_000_000))
    assert meter.energy["kwh"] > 0


def test_both_counters_are_a_measurement(powercap, nvml, monkeypatch):
    counters = [package(powercap, f"intel-rapl:{number}", f"package-{number}") for number in (0, 1)]
    package(powercap, "intel-rapl:0:0", "core")
    package(powercap, "intel-rapl:2", "psys")
    uses(monkeypatch, "aa", "bytes")
    with EnergyMeter() as meter:
        for counter in counters:
            counter.write_text("1800000000000")
        nvml.gpus |= {"GPU-aa": 5_000_000 + 3_600_000, "GPU-bb": 99_000_000, "GPU-bytes": 1_000_000 + 7_200_000}
    measured = meter.energy
    assert measured["kind"] == "measured"
    assert measured["kwh"] == pytest.approx(2 * 0.5 + 0.001 + 0.002), "of the GPUs, those that this process uses"
    assert measured["how"] == "processor of the whole machine by RAPL; H100 GPU-aa, H100 GPU-bytes by NVML"
    assert measured["devices"] == ["processor package-0", "processor package-1", "H100 GPU-aa", "H100 GPU-bytes"]


def test_workers_beside_each_other_do_not_each_count_the_whole_machine(powercap, nvml, monkeypatch):
    """Four of them, each of which sees the counters of all: what they add up to is what the machine took."""
    counter = package(powercap, "intel-rapl:0", "package-0")
    uses(monkeypatch, "bb")
    monkeypatch.setattr(memory, "_sharers", 4)
    clock = iter([100.0, 400.0])
    monkeypatch.setattr(energy, "_processor_seconds", lambda: next(clock))
    with EnergyMeter() as meter:
        counter.write_text("1800000000000")
        nvml.gpus["GPU-bb"] += 4 * 3_600_000
    found = meter.energy
    assert found["kind"] == "estimated"
    assert found["kwh"] == pytest.approx(300 * 12 / 3.6e6 + 0.001)
    assert found["how"] == "300.0 processor seconds x 12 W per core; H100 GPU-bb by NVML, divided by 4 workers"
    assert found["devices"] == ["processor", "H100 GPU-bb"]


def test_a_gpus_counter_alone_is_not_the_whole(powercap, nvml, monkeypatch):
    uses(monkeypatch, "bb")
    with EnergyMeter() as meter:
        nvml.gpus["GPU-bb"] += 1_800_000_000
    assert meter.energy["kind"] == "estimated"
    assert meter.energy["kwh"] == pytest.approx(0.5, abs=1e-3)
    assert meter.energy["devices"] == ["processor", "H100 GPU-bb"]


@pytest.mark.parametrize("unseen", ["cc", "mig-11"])
def test_a_gpu_without_a_counter_makes_it_an_estimate(powercap, nvml, monkeypatch, unseen):
    package(powercap, "intel-rapl:0", "package-0")
    uses(monkeypatch, "aa", unseen)
    with EnergyMeter() as meter:
        pass
    assert meter.energy["kind"] == "estimated"
    assert meter.energy["how"].endswith("H100 GPU-aa by NVML; 1 GPU not counted")


def test_a_gpu_that_stops_telling_is_not_counted(powercap, nvml, monkeypatch):
    package(powercap, "intel-rapl:0", "package-0")
    uses(monkeypatch, "aa", "bb")
    with EnergyMeter() as meter:
        nvml.gpus |= {"GPU-aa": None, "GPU-bb": None}
    assert meter.energy["kind"] == "estimated"
    assert meter.energy["how"].endswith("2 GPUs not counted")


@pytest.mark.parametrize("broken", ["no package", "no driver"])
def test_gpus_that_nothing_tells_of(powercap, monkeypatch, broken):
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml({}, driver=False) if broken == "no driver" else None)
    assert gpu_counters() == {}
    uses(monkeypatch, "aa")
    with EnergyMeter() as meter:
        pass
    assert "1 GPU not counted" in meter.energy["how"]


def test_a_counter_that_begins_again(powercap, monkeypatch):
    counter = package(powercap, "intel-rapl:0", "package-0", RANGE - 3_000_000)
    monkeypatch.setattr(energy, "SECONDS_BETWEEN_READINGS", 0.001)
    readings: list[float] = []
    real = Counter.update

    def update(self: Counter) -> None:
        real(self)
        readings.append(self._last)

    monkeypatch.setattr(Counter, "update", update)
    with EnergyMeter(meter="counters") as meter:
        for reading in (2_000_000, RANGE - 1_000_000, 4_000_000):  # wraps around twice, as in a long run
            (counter.parent / "next").write_text(str(reading))
            (counter.parent / "next").replace(counter)  # whole, as the kernel shows it
            while reading / 1e6 not in readings[-1:]:  # a busy machine may be slow
                time.sleep(0.001)
    assert meter.energy["kwh"] * 3.6e6 == pytest.approx((3 + 2) + (RANGE / 1e6 - 3) + (1 + 4))
    assert meter.energy["kind"] == "measured"


def test_a_driver_that_is_loaded_anew_begins_at_nothing():
    readings = iter([100.0, 100.0, 160.0, 5.0])
    counter = Counter("gpu", lambda: next(readings))
    counter.start()
    counter.update()
    counter.update()
    assert (counter.joules, counter.failed) == (65.0, False)


def test_energy_before_the_context_is_not_counted(powercap):
    counter = package(powercap, "intel-rapl:0", "package-0")
    meter = EnergyMeter()
    counter.write_text("5000000")
    with meter:
        pass
    assert meter.energy["kwh"] == 0


def test_a_package_that_may_not_be_read_leaves_none(powercap):
    package(powercap, "intel-rapl:0", "package-0")
    package(powercap, "intel-rapl:1", "package-1").unlink()
    assert processor_counters() == []
    with EnergyMeter() as meter:
        pass
    assert meter.energy["kind"] == "estimated"
    with pytest.raises(UserError, match=r"finds no readable /sys/class/powercap/.* or choose 'auto', which estimates"):
        EnergyMeter(meter="counters")


def test_gpus_in_use_are_those_with_memory(monkeypatch):
    assert uuids_in_use() == [], "nothing here has touched a GPU"
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda index: index * 1024)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: SimpleNamespace(uuid=f"AB-{index}"))
    assert uuids_in_use() == ["ab-1", "ab-2"]
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1")
    assert uuids_in_use() == ["ab-0", "ab-1", "ab-2"], "processes that share a run take one each"


def test_unknown_meter():
    with pytest.raises(UserError, match="unknown energy meter 'countrs'; did you mean 'counters'"):
        EnergyMeter(meter="countrs")  # pyright: ignore[reportArgumentType]


def test_the_real_package_has_what_is_called():
    real = pytest.importorskip("pynvml", reason="the extra 'energy' is not installed")
    called = [name for name in vars(FakeNvml) if name.startswith("nvml")] + ["NVMLError"]
    assert [name for name in called if not hasattr(real, name)] == []


@pytest.mark.gpu
def test_a_gpu_counts():
    pytest.importorskip("pynvml", reason="the extra 'energy' is not installed")
    with EnergyMeter() as meter:
        rows = torch.rand(4096, 4096, device="cuda")
        for _ in range(200):
            rows = rows @ rows
            rows /= rows.norm()
        torch.cuda.synchronize()
    assert "by NVML" in meter.energy["how"]
    assert meter.energy["kwh"] > 0


def test_processes_that_share_a_run_are_estimated_together(monkeypatch):
    def gather(found: list[float], own: float) -> None:
        found[:] = [own, own + 60]

    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    clock = iter([100.0, 200.0, 400.0, 0.0, 30.0])
    monkeypatch.setattr(energy, "_processor_seconds", lambda: next(clock))
    with EnergyMeter(meter="estimate", together=True) as meter:
        assert meter.so_far()["how"] == "200.0 processor seconds x 12 W per core (2 processes, each as this one)"
    assert meter.energy["how"] == "660.0 processor seconds x 12 W per core (2 processes)"
    with EnergyMeter(meter="estimate") as alone:
        pass
    assert alone.energy["how"] == "30.0 processor seconds x 12 W per core"
