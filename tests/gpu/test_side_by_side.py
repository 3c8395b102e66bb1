"""Processes that share a GPU train the students that each would train alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from limbeck.training.checkpoint import Checkpoint

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.gpu

SCRIPT = """
import sys, torch
from accelerate.state import PartialState
from limbeck.objectives import weighted_sum
from limbeck.training import RunFolder, fit
from tests.training.tiny import network, settings, stripes
folder, device, seed = sys.argv[1], torch.device(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(1)
PartialState(cpu=device.type == "cpu")
torch.backends.cudnn.deterministic = True
with RunFolder.open(folder, {"name": "tiny"}) as run_folder:
    fit(network(seed), stripes(40), weighted_sum({"ce": 0.1, "kd": 0.9}), run_folder=run_folder, seed=seed,
        settings=settings(steps=40, checkpoint_seconds=1000, channels_last=True, precision="fp32"), teacher=network(9))
"""


def start(folder: Path, device: torch.device, seed: int) -> subprocess.Popen[str]:
    environment = {**os.environ, "LIMBECK_CACHE": str(folder.parent / "cache"), "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    command = [sys.executable, "-c", SCRIPT, str(folder), str(device), str(seed)]
    return subprocess.Popen(command, cwd=ROOT, env=environment, text=True, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[str], folder: Path) -> dict[str, torch.Tensor]:
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    tensors = Checkpoint.load(folder / "checkpoint.safetensors").tensors
    return {name: tensor for name, tensor in tensors.items() if name.startswith("student")}


def test_two_processes_on_one_device_teach_what_each_does_alone(device: torch.device, tmp_path: Path) -> None:
    alone = [finish(start(tmp_path / f"alone-{seed}", device, seed), tmp_path / f"alone-{seed}") for seed in (0, 1)]
    both = [start(tmp_path / f"beside-{seed}", device, seed) for seed in (0, 1)]
    beside = [finish(process, tmp_path / f"beside-{seed}") for seed, process in enumerate(both)]
    for expected, actual in zip(alone, beside, strict=True):
        assert expected
        assert all(torch.equal(expected[name], actual[name]) for name in expected)
