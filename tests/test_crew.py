"""Workers of this machine: started once, given task after task, replaced when they die."""

import os
import signal
import threading
import time
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from limbeck.errors import UserError
from limbeck.interruption import Interrupted, listening_for_stop
from limbeck.memory import free_memory
from limbeck.plugins import catalogue_of, register, unregister
from limbeck.progress import Progress, Silent
from limbeck.workers import open_crew
from limbeck.workers.crew import Task
from limbeck.workers.shares import computing_on, threads_each


class Worker:
    """Does what a task says."""

    def __call__(self, task: str, progress: Progress) -> Any:
        verb, _, rest = task.partition(" ")
        return getattr(self, verb)(rest, progress)

    def tell(self, rest: str, progress: Progress) -> tuple[int, int]:
        return os.getpid(), torch.get_num_threads()

    def knows(self, name: str, progress: Progress) -> bool:
        return name in catalogue_of("objectives")

    def die(self, flag: str, progress: Progress) -> str:
        progress.begin("dying", 2)
        if flag == "always" or not Path(flag).exists():
            Path(flag).touch() if flag != "always" else None
            os.kill(os.getpid(), signal.SIGKILL)
        progress.end()
        return "lived"

    def warn(self, rest: str, progress: Progress) -> None:
        warnings.warn("the same for everybody", stacklevel=1)

    def fail(self, rest: str, progress: Progress) -> None:
        raise UserError("it cannot be done")

    def step(self, flag: str, progress: Progress) -> None:
        with listening_for_stop() as stop:
            for number in range(3000):
                progress.update(number)
                Path(flag).touch()
                time.sleep(0.02)
                if stop:
                    raise Interrupted(f"stopped at {number}")

    def sleep(self, flag: str, progress: Progress) -> None:
        Path(flag).touch()
        time.sleep(60)


class Unable:
    def __call__(self) -> Worker:
        raise FileNotFoundError("no such images")


class Line(Silent):
    said: list[str]

    def __init__(self, said: list[str]) -> None:
        self.said = said

    def begin(self, title: str, total: int, done: int = 0) -> None:
        self.said.append("begin")

    def end(self) -> None:
        self.said.append("end")

    def close(self, outcome: str = "") -> None:
        self.said.append(outcome)


def do(*tasks: str, workers: int = 2, said: list[str] | None = None, make: Any = Worker) -> list[Any]:
    lines = [] if said is None else said
    with open_crew(workers) as crew:
        jobs = [Task(task, task.partition(" ")[0]) for task in tasks]
        return [answer for _, answer, _ in crew.work(make, jobs, lambda task: Line(lines))]


def test_many_tasks_are_done_by_as_many_processes_as_there_are_workers() -> None:
    answers = do(*["tell"] * 42)
    assert len(answers) == 42
    assert len({pid for pid, _ in answers}) <= 2
    assert os.getpid() not in {pid for pid, _ in answers}
    assert {threads for _, threads in answers} == {1}


def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    lines: list[str] = []
    assert do(f"die {tmp_path / 'flag'}", said=lines) == ["lived"]
    assert lines == ["begin", "end", "its worker died (killed by SIGKILL)", "begin", "end"]
    with pytest.raises(UserError, match=r"the worker of die died 3 times \(killed by SIGKILL\); what is done is kept"):
        do("die always")


def test_what_goes_wrong_in_a_worker_is_said_here() -> None:
    with pytest.raises(UserError, match="it cannot be done") as caught:
        do("fail")
    assert "in fail" in caught.value.__notes__[0]
    with pytest.raises(UserError, match=r"a worker on .* cannot begin \(FileNotFoundError: no such images\)"):
        do("tell", make=Unable())


def test_warnings_of_workers_reach_the_user_once() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        do(*["warn"] * 6)
    assert [str(warning.message) for warning in caught] == ["the same for everybody"]


@pytest.mark.parametrize("what", ["step", "sleep"])
def test_a_stop_reaches_all_workers(tmp_path: Path, what: str) -> None:
    """Workers stop after their step while they train, and at once otherwise."""
    flags, lines = [tmp_path / "one", tmp_path / "two"], []

    def interrupt() -> None:
        while not all(flag.exists() for flag in flags):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(Interrupted, match="stopped 2 of 2 workers"):
        do(*(f"{what} {flag}" for flag in flags), said=lines)
    assert len(lines) == 2
    assert all(line.startswith("stopped") for line in lines)


def test_parts_that_were_registered_here_are_known_there() -> None:
    register("objectives", "of-the-crew", of_the_crew)
    try:
        assert do("knows of-the-crew", "knows nobody", workers=1) == [True, False]
    finally:
        unregister("objectives", "of-the-crew")
    assert do("knows of-the-crew") == [False]


def of_the_crew(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    return (student_logits - teacher_logits).square().mean()


def test_shares_of_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.workers.shares.cores", lambda: 8)
    with computing_on(8):
        assert [threads_each(workers) for workers in (1, 2, 3, 8, 20)] == [8, 4, 2, 1, 1]
        with computing_on(2):
            assert torch.get_num_threads() == 2
            assert threads_each(2) == 2  # never more than this process uses
        assert torch.get_num_threads() == 8
    monkeypatch.setattr("limbeck.memory._sharers", 4)
    quarter = free_memory()
    monkeypatch.setattr("limbeck.memory._sharers", 1)
    assert free_memory() > 3 * quarter


def test_what_nobody_waits_for_is_done_meanwhile(tmp_path: Path) -> None:
    with open_crew(1) as crew:
        crew.place.have_done(partial(os.mkdir, tmp_path / "nowhere" / "else"))  # fails, which is ignored
        crew.place.have_done(partial(os.mkdir, tmp_path / "done"))
        for _ in range(600):
            if (tmp_path / "done").exists():
                break
            time.sleep(0.05)
    assert (tmp_path / "done").exists()
