"""An interrupted run, however it ended, resumes to the same student, bit for bit."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tests.training.conftest import Run
from tests.training.stopping import stop_at, wait_for_step
from tests.training.tiny import network, same, settings, weights
from tests.warm_python import start

from limbeck.errors import UserError
from limbeck.files import atomic_path
from limbeck.models import Classifier
from limbeck.training import Interrupted, RunFolder
from limbeck.training import checkpoint as checkpoint_module
from limbeck.training.checkpoint import Checkpoint

# A run that is slow enough for a signal to hit it in the middle.
SCRIPT = """
import sys, time, torch
torch.set_num_threads(1)
from limbeck.data.views import PadCrop
from limbeck.objectives import weighted_sum
from limbeck.training import RunFolder, fit
from tests.training.tiny import network, settings, stripes
folder, pause, optimizer = sys.argv[1], float(sys.argv[2]), sys.argv[3]
class Slow(PadCrop):
    def render(self, images, draw):
        time.sleep(pause)
        return super().render(images, draw)
import limbeck.training.building as building
building.augmentation = lambda spec, per_image: Slow(padding=1, flip=False)
with RunFolder.open(folder, {"name": "tiny"}, resume=True) as run_folder:
    changed = settings(steps=40, optimizer=optimizer, learning_rate=0.01)
    fit(network(), stripes(40), weighted_sum({"ce": 0.1, "kd": 0.9}), settings=changed, run_folder=run_folder, seed=0,
        teacher=network(9), validation=stripes(20, seed=1))
"""


def finish(folder: Path, optimizer: str) -> Checkpoint:
    process = start(SCRIPT, str(folder), "0", optimizer)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return Checkpoint.load(folder / "checkpoint.safetensors")


@pytest.mark.parametrize(
    ("number", "optimizer"), [(signal.SIGKILL, "sgd"), (signal.SIGTERM, "adamw"), (signal.SIGINT, "sgd")]
)
def test_killed_run_resumes_to_the_same_student(number: signal.Signals, optimizer: str, tmp_path: Path) -> None:
    whole = finish(tmp_path / "whole", optimizer)
    process = start(SCRIPT, str(tmp_path / "killed"), "0.05", optimizer)
    wait_for_step(tmp_path / "killed", 15)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode != 0
    stopped = Checkpoint.load(tmp_path / "killed" / "checkpoint.safetensors")
    assert 0 < stopped.step < 40
    resumed = finish(tmp_path / "killed", optimizer)
    assert resumed.step == whole.step == 40
    timing = {"seconds", "teacher_passes_saved"}  # the second run finds the first one's outputs in the view cache
    assert same(resumed.tensors, whole.tensors)
    assert {k: v for k, v in resumed.notes.items() if k not in timing} == {
        k: v for k, v in whole.notes.items() if k not in timing
    }
    steps = [entry["step"] for entry in RunFolder(tmp_path / "killed").metrics() if entry["kind"] == "train"]
    assert steps == list(range(1, 41))
    if number != signal.SIGKILL:
        assert stopped.step >= 15


def test_a_run_killed_before_its_first_checkpoint_logs_nothing_twice(teach: Run, tmp_path: Path) -> None:
    slow = settings(checkpoint_seconds=1000, validations=0)
    teach(settings=slow)
    run_folder = RunFolder(tmp_path / "run")
    whole = [row["step"] for row in run_folder.metrics()]
    run_folder.checkpoint.unlink()  # a kill leaves no checkpoint, but lines of the steps it made
    teach(resume=True, settings=slow)
    assert [row["step"] for row in run_folder.metrics()] == whole


@pytest.mark.parametrize("cut", ['{"kind": "train", "step": 13, "terms": {"kd": 1.0}', '{"kind": "tr', "{"])
def test_a_line_of_metrics_that_a_kill_cut_short_is_skipped(cut: str, tmp_path: Path) -> None:
    run_folder = RunFolder(tmp_path)
    whole = {"kind": "train", "step": 12, "terms": {"kd": 1.5}}
    (tmp_path / "metrics.jsonl").write_text(f"{json.dumps(whole)}\n{cut}")
    assert run_folder.metrics() == [whole]
    run_folder.rewind_metrics(20)
    assert (tmp_path / "metrics.jsonl").read_text() == f"{json.dumps(whole)}\n"


def test_interruption_saves_the_step_at_hand(teach: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = teach("whole")
    slow = settings(checkpoint_seconds=1000, validations=0)
    original = RunFolder.append_metrics

    def interrupt(run_folder: RunFolder, **entry: object) -> None:
        original(run_folder, **entry)
        if entry["step"] == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(RunFolder, "append_metrics", interrupt)
    with pytest.raises(Interrupted, match="stopped at step 6 of 12"):
        teach(settings=slow)
    monkeypatch.undo()
    run_folder = RunFolder(tmp_path / "run")
    assert run_folder.state == "interrupted"
    assert Checkpoint.load(run_folder.checkpoint).step == 6
    with pytest.raises(UserError, match=r"holds a run already \(interrupted at step 6\).*--resume"):
        teach(settings=slow)
    assert same(weights(teach(resume=True, settings=slow).student), weights(whole.student))


def test_full_disk_leaves_the_old_checkpoint_intact(
    teach: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    saves = 0

    def full(*args: object, **kwargs: object) -> None:
        nonlocal saves
        saves += 1
        if saves > 4:
            raise OSError(28, "No space left on device")
        real(*args, **kwargs)

    real = checkpoint_module.save_file
    monkeypatch.setattr(checkpoint_module, "save_file", full)
    with pytest.raises(UserError, match=r"no space left on the disk of .*checkpoint\.safetensors.* intact"):
        teach()
    monkeypatch.undo()
    assert Checkpoint.load(tmp_path / "run" / "checkpoint.safetensors").step == 4
    assert not list((tmp_path / "run").glob(".checkpoint*"))
    assert same(weights(teach(resume=True).student), weights(teach("whole").student))


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs root on Linux to mount a small disk")
def test_really_full_disk(teach: Run, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", disk], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        with pytest.raises(UserError, match="no space left"):
            teach("disk/run", student=network(width=32))
        saved = disk / "run" / "checkpoint.safetensors"
        assert not saved.exists() or load_file(saved)
    finally:
        subprocess.run(["umount", disk], check=True)


def test_damaged_checkpoint_is_named(teach: Run, tmp_path: Path) -> None:
    teach()
    (tmp_path / "run" / "checkpoint.safetensors").write_bytes(b"half a file")
    with pytest.raises(UserError, match=r"checkpoint\.safetensors' cannot be read .* remove it to start"):
        teach(resume=True)


def test_random_state_survives(tmp_path: Path) -> None:
    checkpoint = Checkpoint(3)
    checkpoint.put("random", {"cpu": torch.get_rng_state()})
    with atomic_path(tmp_path / "x"):
        pass
    checkpoint.save(tmp_path / "x")
    assert torch.equal(Checkpoint.load(tmp_path / "x").take("random")["cpu"], torch.get_rng_state())


@pytest.mark.parametrize("step", [2, 7])
def test_dropout_goes_on_where_it_stopped(
    step: int, teach: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def dropping() -> Classifier:
        student = network()
        head = student.network.get_submodule("head")
        head.register_forward_pre_hook(lambda module, args: (F.dropout(args[0], 0.4, module.training),))
        return student

    rare = settings(checkpoint_seconds=1000, validations=0)
    whole = teach("whole", student=dropping(), settings=rare)
    assert not same(weights(whole.student), weights(teach("plain", settings=rare).student))
    stop_at(step, monkeypatch)
    with pytest.raises(Interrupted):
        teach(student=dropping(), settings=rare)
    monkeypatch.undo()
    resumed = teach(resume=True, student=dropping(), settings=rare)
    assert same(weights(resumed.student), weights(whole.student))


def test_a_checkpoint_from_before_there_were_rounds_goes_on(
    teach: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rare = settings(checkpoint_seconds=1000)
    whole = teach("whole", settings=rare)
    stop_at(6, monkeypatch)
    with pytest.raises(Interrupted):
        teach(settings=rare)
    monkeypatch.undo()
    path = tmp_path / "run" / "checkpoint.safetensors"
    saved = Checkpoint.load(path)
    for name in ("rounds", "observers", "epochs", "shown"):
        del saved.notes[name]
    saved.save(path)
    resumed = teach(resume=True, settings=rare)
    assert same(weights(resumed.student), weights(whole.student))
    assert resumed.best is not None
    assert whole.best is not None
    assert (resumed.best.step, resumed.best.top1) == (whole.best.step, whole.best.top1)
    assert (resumed.steps, resumed.teacher_passes) == (whole.steps, whole.teacher_passes)
    epochs = [[entry["epoch"] for entry in RunFolder(tmp_path / folder).metrics()] for folder in ("whole", "run")]
    assert epochs[0] == epochs[1]
