"""A run that generates with a real generator, killed by the system while images are made or the student learns."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import limbeck as lb
from limbeck.models.forward import resolve_computing
from limbeck.models.weights.folder import load as load_model
from limbeck.models.weights.folder import save as save_model
from limbeck.recipes.reading import read_recipe
from limbeck.recipes.run import run
from limbeck.training import rounds
from limbeck.transfer.generate import maker, pace
from limbeck.transfer.generate.synthesis import synthesiser


def recipe(teacher: Path, **changes: Any) -> dict[str, Any]:
    """Two rounds to warm up, then four of three steps each; all that a state holds is in use."""
    generator = {"width": 4, "latents": 8, "renew_once": 3}
    settings = {"maker": "generate", "method": "bsr", "budget": 48, "batch_size": 8, "inner_steps": 4, **changes}
    settings |= {"steps_per_round": 3, "warmup_rounds": 2, "views": "pad-crop", "generator": generator}
    training = {"steps": 12, "batch_size": 8, "views": "none", "validations": 0, "checkpoint_seconds": 0}
    student = {"model": "convnet_d3", "input_size": 8, "options": {"width": 4, "norm": "batch"}}
    content = {"name": "made", "data": {}, "teacher": str(teacher), "student": student, "objective": {"kd": 1.0}}
    return {**content, "transfer": settings, "training": training, "latency": False}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher") / "teacher"
    save_model(lb.create("convnet_d3", num_classes=3, channels=1, input_size=8, seed=7, width=4, norm="batch"), folder)
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, teacher: Path) -> dict[str, torch.Tensor]:
    return run(read_recipe(recipe(teacher)), tmp_path_factory.mktemp("whole") / "run").student.state_dict()


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


class PowerCut(BaseException):
    pass


@pytest.mark.parametrize("step", [1, 9, 14, 18, 23])
def test_killed_in_a_call_it_is_gone_on_with_to_the_bit(
    tmp_path: Path, teacher: Path, whole: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    monkeypatch.setattr(pace, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(pace, "_SHARE", float("inf"))
    monkeypatch.setattr("limbeck.files._flush", lambda _: None)
    real, calls = pace.Pace.__call__, [0]

    def cut(self: pace.Pace) -> bool:
        calls[0] += 1
        if calls[0] == step:
            raise PowerCut
        return real(self)

    with monkeypatch.context() as patch:
        patch.setattr(pace.Pace, "__call__", cut)
        with pytest.raises(PowerCut):
            run(read_recipe(recipe(teacher)), tmp_path / "run")
    assert same(whole, run(read_recipe(recipe(teacher)), tmp_path / "run", resume=True).student.state_dict())


@pytest.mark.slow
def test_killed_by_the_system_again_and_again_it_ends_at_the_same_student(
    tmp_path: Path, teacher: Path, whole: dict[str, torch.Tensor]
) -> None:
    (tmp_path / "made.yaml").write_text(yaml.safe_dump(recipe(teacher)))
    script = (
        "from limbeck.transfer.generate import pace; pace.SAVE_SECONDS = 0.0; from limbeck.cli.main import main; main()"
    )
    command = [sys.executable, "-c", script, "run", "made.yaml", "--out", "run", "--resume"]
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    making = tmp_path / "run" / "making"
    for kills in range(6):
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
        started = time.monotonic()
        while not making.is_dir() and process.poll() is None and time.monotonic() - started < 120:
            time.sleep(0.01)
        time.sleep(
            0.1 * kills + (3.0 if kills else 0.0)
        )  # from the second on, the folder is there before the process has imported
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, stdout=subprocess.DEVNULL)
    assert same(whole, load_model(tmp_path / "run" / "student").state_dict())


@pytest.mark.parametrize("limit", [0, 2**26], ids=["files", "memory"])
def test_of_a_generator_that_shows_its_images_once_each_round_shows_its_own_and_is_resumed_to_the_bit(
    tmp_path: Path, teacher: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(maker, "Repository", partial(maker.Repository, limit=limit))
    monkeypatch.setattr("limbeck.files._flush", lambda _: None)
    content = recipe(teacher, method="dfq", budget=40, inner_steps=1, fresh=2)
    content["transfer"] |= {"warmup_rounds": 0, "generator": {"width": 4, "latents": 8}}
    shown: list[tuple[int, set[int], int]] = []
    real = rounds.RoundStream.batch

    def noted(self: rounds.RoundStream, step: int) -> Any:
        batch, made = real(self, step), self.rounds.transfer_set
        made_in = dict(zip(made.images.ids.tolist(), torch.as_tensor(made.provenance["round"]).tolist(), strict=True))
        shown.append((self.rounds.number, {made_in[one] for one in batch.ids.tolist()}, len(made)))
        return batch

    monkeypatch.setattr(rounds.RoundStream, "batch", noted)
    whole = run(read_recipe(content), tmp_path / "whole")
    assert shown == [(step // 3, {step // 3}, min(40, 16 * (step // 3 + 1))) for step in range(12)]
    assert whole.cost["images"] == 40, "what is saved is the budget"
    with monkeypatch.context() as patch:
        patch.setattr(rounds.RoundStream, "batch", _power_cut_in_the_second_round(noted))
        with pytest.raises(PowerCut):
            run(read_recipe(content), tmp_path / "cut")
    resumed = run(read_recipe(content), tmp_path / "cut", resume=True)
    assert same(whole.student.state_dict(), resumed.student.state_dict())


SEEN: dict[str, Any] = {"pad-crop": {"padding": 1}}


def seen_alike(teacher: Path) -> dict[str, Any]:
    """The student sees images as the teacher saw them while they were made, and there are enough of them."""
    content = recipe(teacher, budget=320, batch_size=64, inner_steps=1)
    content["transfer"]["views"] = content["training"]["views"] = SEEN
    content["training"] |= {"precision": "fp32", "batch_size": 64}
    return content


@pytest.fixture
def _in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images are made in float32, whatever this machine is fastest in."""
    monkeypatch.setattr(synthesiser, "resolve_computing", lambda device, _: resolve_computing(device, "fp32"))


@pytest.mark.usefixtures("_in_float32")
def test_what_the_teacher_said_of_images_in_the_making_is_read_and_teaches_the_same_student(
    tmp_path: Path, teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taught(name: str, folder: str = "", **how: Any) -> Any:
        monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / f"cache-{name}"))
        return run(read_recipe(seen_alike(teacher)), tmp_path / (folder or name), **how)

    read = taught("read")
    with monkeypatch.context() as patch:
        patch.setattr(rounds, "take_known", lambda *_: 0)
        asked = taught("asked")
        patch.setattr(rounds.RoundStream, "batch", _power_cut_in_the_second_round(rounds.RoundStream.batch))
        with pytest.raises(PowerCut):
            taught("asked before", "cut")
    resumed = taught("read after", "cut", resume=True)
    assert same(read.student.state_dict(), asked.student.state_dict())
    assert same(read.student.state_dict(), resumed.student.state_dict())
    assert asked.cost["teaching"]["passes_saved"] + 64 < read.cost["teaching"]["passes_saved"]
    assert asked.cost["teaching"]["teacher_passes"] == read.cost["teaching"]["teacher_passes"]


def _power_cut_in_the_second_round(batch: Any) -> Any:
    steps = iter(range(5))

    def cut(self: Any, step: int) -> Any:
        if next(steps, None) is None:
            raise PowerCut
        return batch(self, step)

    return cut
