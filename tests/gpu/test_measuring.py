"""Latency and energy of what runs on a GPU."""

import pytest
import torch
from tests.gpu.conftest import CPU, Run
from tests.training.tiny import network, settings

from limbeck.evaluation.energy import EnergyMeter
from limbeck.evaluation.model_size import footprint
from limbeck.models.forward import device_of

pytestmark = pytest.mark.gpu


def test_latency_names_the_device_and_the_network_goes_back(device: torch.device) -> None:
    classifier = network()
    measured = footprint(classifier, (1, 8, 8), device=device)
    assert measured["device"] == (torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu")
    assert all(latency["median"] > 0 and latency["n"] >= 3 for latency in measured["latency_ms"].values())
    assert measured["macs"] == footprint(classifier, (1, 8, 8), latency=False)["macs"]
    assert device_of(classifier) == CPU


def test_training_has_energy(teach: Run, device: torch.device) -> None:
    if device.type == "cuda":
        pytest.importorskip("pynvml", reason="the extra 'energy' is not installed")
    with EnergyMeter() as meter:
        teach(settings=settings(steps=200, validations=0))
    assert meter.energy is not None
    if device.type == "cuda":
        assert "by NVML" in meter.energy["how"]
        assert meter.energy["kwh"] > 0
