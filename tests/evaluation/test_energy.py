import subprocess
import sys
from types import SimpleNamespace

import pytest

from limbeck.errors import UserError
from limbeck.evaluation import energy
from limbeck.evaluation.energy import EnergyMeter


class StubTracker:
    final_emissions_data = SimpleNamespace(cpu_energy=0.25, gpu_energy=0.5, ram_energy=8.0)

    def start(self) -> None:
        self.started = True

    def stop(self) -> None:
        assert self.started


def stub_counters(monkeypatch, rapl: bool, nvml: bool) -> None:
    monkeypatch.setattr(energy, "find_spec", lambda name: object())
    monkeypatch.setattr(energy, "_counters", lambda: (rapl, nvml))
    monkeypatch.setattr(energy, "_tracker", StubTracker)


def test_estimate_is_processor_seconds_times_watts(monkeypatch):
    clock = iter([100.0, 400.0])
    monkeypatch.setattr(energy, "_processor_seconds", lambda: next(clock))
    with EnergyMeter(source="estimate") as meter:
        pass
    assert meter.energy["kwh"] == pytest.approx(300 * 12 / 3.6e6)
    assert meter.energy["kind"] == "estimated"
    assert meter.energy["how"] == "300.0 processor seconds x 12 W per core"


def test_work_costs_energy():
    with EnergyMeter(source="estimate") as meter:
        sum(i * i for i in range(2_000_000))
    assert meter.energy["kwh"] > 0


def test_both_counters_are_a_measurement(monkeypatch):
    stub_counters(monkeypatch, rapl=True, nvml=True)
    with EnergyMeter() as meter:
        pass
    assert meter.energy["kind"] == "measured"
    assert meter.energy["kwh"] == 0.75, "codecarbon's guess for memory is no measurement"
    assert "RAPL" in meter.energy["how"]
    assert "NVML" in meter.energy["how"]


def test_an_accelerators_counter_alone_is_not_the_whole(monkeypatch):
    stub_counters(monkeypatch, rapl=False, nvml=True)
    with EnergyMeter() as meter:
        pass
    assert meter.energy["kind"] == "estimated"
    assert meter.energy["kwh"] == pytest.approx(0.5, abs=1e-3)


def test_an_unseen_accelerator_makes_it_an_estimate(monkeypatch):
    stub_counters(monkeypatch, rapl=True, nvml=False)
    monkeypatch.setattr(energy.torch.cuda, "is_initialized", lambda: True)
    with EnergyMeter() as meter:
        pass
    assert meter.energy["kind"] == "estimated"
    assert "not counted" in meter.energy["how"]


def test_without_codecarbon(monkeypatch):
    monkeypatch.setattr(energy, "find_spec", lambda name: None)
    with EnergyMeter() as meter:
        pass
    assert meter.energy["kind"] == "estimated"
    with pytest.raises(UserError, match=r"pip install 'limbeck\[energy\]'"):
        EnergyMeter(source="codecarbon")


def test_unknown_source():
    with pytest.raises(UserError, match="unknown energy source 'codecarbn'; did you mean 'codecarbon'"):
        EnergyMeter(source="codecarbn")  # pyright: ignore[reportArgumentType]


def test_codecarbon_is_not_imported_unasked():
    code = (
        "import sys; from limbeck.evaluation import EnergyMeter\n"
        "with EnergyMeter(source='estimate') as meter: pass\n"
        "assert 'codecarbon' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_real_codecarbon_is_quiet(tmp_path, monkeypatch, capfd):
    pytest.importorskip("codecarbon", reason="the extra 'energy' is not installed")
    monkeypatch.chdir(tmp_path)
    tracker = energy._tracker()
    tracker.start()
    tracker.stop()
    assert tracker.final_emissions_data.cpu_energy >= 0
    with EnergyMeter(source="codecarbon") as meter:
        pass
    assert meter.energy["kwh"] >= 0
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
