"""Two processes train the same student as one."""

import os
import subprocess
import sys
from pathlib import Path

import torch

from limbeck.training import RunFolder
from limbeck.training.checkpoint import Checkpoint

ROOT = Path(__file__).parents[2]

# Without batch norm, whose statistics are those of each process's share, the gradients are the same sums.
SCRIPT = """
import atexit, os, pathlib, sys, torch, weakref
from torch import distributed
torch.set_num_threads(1)
groups = []
@atexit.register  # and so called last
def left():
    if not any(group() for group in groups):
        pathlib.Path(sys.argv[1] + ".left" + os.environ.get("RANK", "0")).touch()
from accelerate import Accelerator
from limbeck.models import create
from limbeck.objectives import weighted_sum
from limbeck.training import RunFolder, fit
from tests.training.tiny import settings, stripes
accelerator = Accelerator(cpu=True)
if accelerator.num_processes > 1:
    groups.append(weakref.ref(distributed.group.WORLD))
def network(seed):
    return create("convnet_d3", num_classes=2, channels=1, seed=seed, width=4, norm="none")
with RunFolder.open(sys.argv[1], {"name": "tiny"}, writes=accelerator.is_main_process) as run_folder:
    fit(network(0), stripes(40), weighted_sum({"ce": 0.1, "kd": 0.9}), settings=settings(precision="fp32"),
        run_folder=run_folder, seed=0, teacher=network(9), validation=stripes(20, seed=1), accelerator=accelerator)
"""


def run(folder: Path, processes: int) -> Checkpoint:
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    script = folder.with_suffix(".py")
    script.write_text(SCRIPT)
    command = [sys.executable, *(launch if processes > 1 else []), str(script), str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    for rank in range(processes):
        left = folder.with_name(f"{folder.name}.left{rank}")
        assert left.exists(), "threads of the group outlived Python, which can abort it"
    return Checkpoint.load(folder / "checkpoint.safetensors")


def test_two_processes_equal_one(tmp_path: Path) -> None:
    alone, shared = run(tmp_path / "one", 1), run(tmp_path / "two", 2)
    for name, value in alone.take("student").items():
        torch.testing.assert_close(shared.take("student")[name], value, rtol=1e-4, atol=1e-6)
    losses = [
        [entry["loss"] for entry in RunFolder(tmp_path / folder).metrics() if entry["kind"] == "train"]
        for folder in ("one", "two")
    ]
    torch.testing.assert_close(torch.tensor(losses[0]), torch.tensor(losses[1]), rtol=1e-4, atol=1e-6)
    assert alone.notes["teacher_passes"] == shared.notes["teacher_passes"] == 12 * 8
