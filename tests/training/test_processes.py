"""Two processes that share a batch equal a single one: loss and gradients of every objective, and a run of the loop."""

import os
import socket
from pathlib import Path

import pytest
from tests.warm_python import start

from limbeck.training.checkpoint import Checkpoint

# Each process takes half of a batch; then the first alone takes all of it. The student's norms use their running
# statistics, since batch statistics would differ between processes.
LESSON = """
import copy, sys, torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel
from limbeck.models import create
from limbeck.objectives import weighted_sum
from limbeck.objectives.catalogue import OBJECTIVES
from limbeck.training.batches import Batch
from limbeck.training.step import DistillationStep
from tests.objectives.pairs import Pair, SMALL

torch.set_num_threads(1)
distributed.init_process_group("gloo")
rank = distributed.get_rank()
pair = Pair("resnet8", "resnet14")
student, teacher = (create(name, num_classes=10, seed=1).eval() for name in ("resnet8", "resnet14"))
images = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(3))
cpu = {"device": torch.device("cpu"), "dtype": torch.float32}

def lesson(made, part, processes, preparing):
    batch = Batch(images[part], pair.setup.labels[part], pair.setup.ids[part], None)
    module = DistillationStep(copy.deepcopy(student), copy.deepcopy(made), **cpu, processes=processes)
    with torch.no_grad():
        asked = teacher(batch.images, want=made.outputs_needed("teacher") | {"logits"})
    model = module if processes == 1 else DistributedDataParallel(module, find_unused_parameters=True)
    losses = []
    for _ in range(2):  # memories have changed at the second
        module.zero_grad()
        loss, _ = model(batch, asked, preparing=preparing)
        loss.backward()
        losses.append(loss.detach())
    return torch.stack(losses), {name: one.grad for name, one in module.named_parameters() if one.grad is not None}

for name, entry in OBJECTIVES.items():
    spec = {"cross_entropy": 1.0, name: {"weight": 1.0, **SMALL.get(name, {})}}
    made = weighted_sum(spec)
    made.build(pair.setup, seed=0)
    preparing = "preparing" in entry.options
    losses, gradients = lesson(made, slice(3 * rank, 3 * rank + 3), 2, preparing)
    distributed.all_reduce(losses)
    if rank == 0:
        expected, reference = lesson(made, slice(0, 6), 1, preparing)
        torch.testing.assert_close(losses / 2, expected, rtol=1e-4, atol=1e-5, msg=lambda text: name + text)
        assert gradients.keys() == reference.keys(), name
        for key, value in reference.items():
            size = value.abs().max().item()
            torch.testing.assert_close(
                gradients[key], value, rtol=1e-3, atol=1e-4 * size + 1e-7, msg=lambda text: name + key + text
            )
    distributed.barrier()
distributed.destroy_process_group()
"""

RUN = """
import sys, torch
from accelerate import Accelerator
from limbeck.objectives import weighted_sum
from limbeck.training import RunFolder, fit
from tests.training.tiny import network, settings, stripes

torch.set_num_threads(1)
accelerator = Accelerator(cpu=True)
spec = {"ce": 1, "rrd": {"negatives_count": 12}, "ft": {"weight": 1, "preparing": 0.3}, "sp": 0.1}
with RunFolder.open(sys.argv[1], {"name": "tiny"}, writes=accelerator.is_main_process) as run_folder:
    fit(network(norm="instance"), stripes(40), weighted_sum(spec), settings=settings(steps=8, learning_rate=0.01),
        run_folder=run_folder, seed=0, teacher=network(9), accelerator=accelerator)
changed = settings(steps=4, sharpness={"rho": 0.3}, normalised_views={"dsa": {"mode": "all"}}, views="none")
with RunFolder.open(sys.argv[1] + "-sharp", {"name": "tiny"}, writes=accelerator.is_main_process) as run_folder:
    fit(network(norm="instance"), stripes(40), weighted_sum({"ce": 0.5, "rrd": {"negatives_count": 12}, "kd": 1}),
        settings=changed, run_folder=run_folder, seed=0, teacher=network(9), accelerator=accelerator)
accelerator.end_training()
"""

WARM = """
import sys, torch
from accelerate import Accelerator
from limbeck.objectives import weighted_sum
from limbeck.training import RunFolder, fit
from tests.training.tiny import network, settings, stripes

torch.set_num_threads(1)
accelerator = Accelerator(cpu=True)
with RunFolder.open(sys.argv[1], {"name": "tiny"}, writes=accelerator.is_main_process) as run_folder:
    result = fit(network(norm="instance"), stripes(40), weighted_sum({"ce": 0.1, "kd": 0.9}), run_folder=run_folder,
        settings=settings(precision="fp32"), seed=0, teacher=network(9), accelerator=accelerator)
assert result.teacher_passes == 96
assert (result.teacher_passes_saved == 96) is (sys.argv[2] == "warm"), result.teacher_passes_saved
accelerator.end_training()
"""


def run(script: str, *arguments: str, processes: int) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    running = []
    for rank in range(processes):
        places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
        environment = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "ACCELERATE_USE_CPU": "true"}
        if processes > 1:
            environment |= {key: str(value) for key, value in places.items()}
        running.append(start(script, *arguments, environment=environment))
    for process in running:
        _, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors


def test_two_processes_equal_one_for_every_objective() -> None:
    run(LESSON, processes=2)


def test_a_run_of_two_processes_makes_the_student_of_one(tmp_path: Path) -> None:
    for processes in (1, 2):
        run(RUN, str(tmp_path / str(processes)), processes=processes)
    for end in ("", "-sharp"):
        alone, shared = (
            Checkpoint.load(tmp_path / f"{count}{end}" / "checkpoint.safetensors").tensors for count in (1, 2)
        )
        assert alone.keys() == shared.keys()
        for name, value in alone.items():
            if name.startswith(("student", "objective")):
                assert (value.double() - shared[name].double()).abs().max() < 1e-3, name


@pytest.mark.parametrize(("fills", "reads"), [(1, 2), (2, 1)])
def test_processes_share_one_view_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fills: int, reads: int
) -> None:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    run(WARM, str(tmp_path / "cold"), "cold", processes=fills)
    run(WARM, str(tmp_path / "warm"), "warm", processes=reads)
    tensors = [Checkpoint.load(tmp_path / name / "checkpoint.safetensors").tensors for name in ("cold", "warm")]
    for name, value in tensors[0].items():
        if name.startswith("student"):
            assert (value.double() - tensors[1][name].double()).abs().max() < 1e-3, name
