"""Two processes: one makes the images of a round, either may be stopped, each has its own dropout."""

import os
import socket
from pathlib import Path

from tests.training.tiny import same
from tests.warm_python import start

from limbeck.training.checkpoint import Checkpoint

# Processes agree on a stop every tenth step, and where losses are logged: every twelfth, and at the end of a round.
SCRIPT = """
import os, signal, sys, torch
import torch.nn.functional as F
from accelerate import Accelerator
from limbeck.objectives import weighted_sum
from limbeck.training import Interrupted, RunFolder, fit
from limbeck.training.distributed import gather_all
from limbeck.transfer.scoring.forgetting import ForgettingCounts
from tests.training.sources import Growing, Noting
from tests.training.tiny import network, settings

torch.set_num_threads(1)
folder, asked, resume = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "resume"
accelerator = Accelerator(cpu=True)
last, first = accelerator.is_last_process, accelerator.is_main_process

class Stopping(Noting):
    def after_step(self, step, batch, outputs):
        super().after_step(step, batch, outputs)
        states = gather_all(torch.get_rng_state()).view(2, -1)
        assert not torch.equal(*states), "each process has its own dropout"
        if step == asked and last:
            os.kill(os.getpid(), signal.SIGTERM)

class Remembered(Growing):
    def images(self, round):
        found = super().images(round)
        both = gather_all(found.images.tensor().flatten()).view(2, -1)
        assert torch.equal(*both), "every process has the same images"
        return found

student = network(norm="none")
head = student.network.get_submodule("head")
head.register_forward_pre_hook(lambda module, given: (F.dropout(given[0], 0.3, module.training),))
source, counts = Remembered(rounds=14), ForgettingCounts(torch.arange(100))
with RunFolder.open(folder, {"name": "tiny"}, writes=first, resume=resume) as run_folder:
    try:
        fit(student, source, weighted_sum({"ce": 1.0, "kd": 1.0}), seed=0, teacher=network(9), accelerator=accelerator,
            settings=settings(steps=1200, precision="fp32", validations=0, checkpoint_seconds=1000),
            run_folder=run_folder, observers=[Stopping(), counts])
    except Interrupted as error:
        print(error, source.refreshed, source.loaded, counts.forgotten.sum().item(), counts.ever.sum().item())
accelerator.end_training()
"""


def run(folder: Path, *, stop: int, resume: bool = False) -> list[str]:
    """Stops the second process after step `stop`, and returns what each process printed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    running = []
    for rank in range(2):
        places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}
        environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        environment |= {key: str(value) for key, value in places.items()}
        running.append(start(SCRIPT, str(folder), str(stop), "resume" if resume else "new", environment=environment))
    outputs = [process.communicate(timeout=600) for process in running]
    assert all(process.returncode == 0 for process in running), outputs
    return [out.strip() for out, _ in outputs]


def test_two_processes_that_are_stopped_and_resumed_make_the_student_of_two_that_were_not(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", stop=37)
    assert [line.split(" of ")[0] for line in whole] == ["stopped at step 40"] * 2, "37 is agreed on at 40"
    assert [line.split("1200 ")[1].rsplit(" ", 2)[0] for line in whole] == ["[0, 1, 2] 0", "[] 3"]
    assert whole[0].split()[-2:] == whole[1].split()[-2:], "both counted the whole batches"
    first = run(tmp_path / "two", stop=15)
    assert [line.split(" of ")[0] for line in first] == ["stopped at step 20"] * 2
    second = run(tmp_path / "two", stop=37, resume=True)
    assert [line.split("1200 ")[1].rsplit(" ", 2)[0] for line in second] == ["[2] 1", "[] 2"]
    tensors = [Checkpoint.load(tmp_path / folder / "checkpoint.safetensors").tensors for folder in ("whole", "two")]
    assert same(*tensors)
