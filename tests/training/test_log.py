"""When a checkpoint is due: seldom where it takes long, at once where a stop was requested."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from tests.training.sources import Growing
from tests.training.tiny import network, settings

from limbeck.objectives import weighted_sum
from limbeck.progress import Silent
from limbeck.training import RunFolder
from limbeck.training.checkpoint import Checkpoint
from limbeck.training.log import WRITING_SHARE, TrainingLog
from limbeck.training.rounds import Rounds
from limbeck.training.schedule import Phases, make_optimizer
from limbeck.training.state import LoopState


class Clock:
    """A clock on which steps and checkpoints take a given time."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.saves: list[tuple[float, float]] = []  # start and end of each

    def __call__(self) -> float:
        return self.now


def teach(
    clock: Clock,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    step: float,
    write: float,
    steps: int,
    stops: int | None = None,
    validations: int = 0,
    **changes: Any,
) -> TrainingLog:
    """Walks through a run whose steps compute nothing."""

    def save(self: Checkpoint, path: Path) -> None:
        clock.saves.append((clock.now, clock.now + write))
        clock.now += write

    monkeypatch.setattr(Checkpoint, "save", save)
    student, objective = network(), weighted_sum("cross_entropy")
    chosen = settings(steps=steps, validations=validations, **changes)
    rounds = Rounds(Growing(rounds=None, first=40), 0, Accelerator(cpu=True))
    rounds.refresh(0, student)
    optimizer = make_optimizer(student.parameters(), chosen)
    state = LoopState(student, student, objective, optimizer, rounds, chosen.batch_size)
    with RunFolder.open(folder, {}) as run_folder:
        log = TrainingLog(
            run_folder,
            state,
            Phases.of(objective, chosen, steps),
            average=lambda values: values,
            validate=lambda: {"top1": 0.5},
            progress=Silent(),
            clock=clock,
        )
        for number in range(stops or steps):
            clock.now += step
            log.add(number, torch.zeros(()), {"cross_entropy": torch.zeros(())}, known=0)
            state.count_step()
            if log.due(state.step) or state.step == stops:
                log.write(0.1, stopping=state.step == stops)
    return log


@pytest.mark.parametrize("write", [0.01, 1.0, 60.0])
@pytest.mark.parametrize("seconds", [0.5, 30.0])
def test_checkpoints_take_a_twentieth_of_the_time_at_most(
    write: float, seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Except the first, whose duration is not yet known, and the last, which ends the run."""
    clock = Clock()
    teach(clock, tmp_path / "run", monkeypatch, step=1.0, write=write, steps=2000, checkpoint_seconds=seconds)
    *saves, (last, _) = clock.saves
    for count, (_, end) in enumerate(saves, 1):
        assert count == 1 or count * write <= WRITING_SHARE * (end - 1000) + 1e-6
    assert all(later - end >= seconds for (_, end), (later, _) in pairwise(saves))
    assert last == clock.now - write
    # Nor less often: each of the 100 due steps saves where it may.
    often = max(seconds, write / WRITING_SHARE, 20.0)
    assert len(saves) >= 0.5 * 2000 / often


def test_no_time_between_checkpoints_saves_at_every_occasion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    teach(clock, tmp_path / "run", monkeypatch, step=1.0, write=60.0, steps=50, checkpoint_seconds=0)
    assert len(clock.saves) == 50


def test_a_stop_saves_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    options: dict[str, Any] = {"step": 1.0, "write": 500.0, "steps": 1000, "stops": 777, "checkpoint_seconds": 30}
    teach(clock, tmp_path / "run", monkeypatch, **options)
    assert [round(begin - 1000) for begin, _ in clock.saves] == [40, 1277]


def test_validations_wait_for_nothing_but_the_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    options: dict[str, Any] = {"step": 1.0, "steps": 100, "checkpoint_seconds": 1000, "validations": 10}
    teach(clock, tmp_path / "cheap", monkeypatch, write=0.1, **options)
    assert [int(begin - 1000) for begin, _ in clock.saves] == [10 * k for k in range(1, 11)]
    clock = Clock()
    teach(clock, tmp_path / "dear", monkeypatch, write=3.0, **options)
    assert len(clock.saves) == 2, "at the first validation and at the end"


def test_making_images_is_not_time_of_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    log = teach(clock, tmp_path / "run", monkeypatch, step=1.0, write=0.5, steps=10, checkpoint_seconds=1000)
    before = len(clock.saves)
    with log.between_rounds():
        clock.now += 5000
    assert len(clock.saves) == before + 1, "what took long to make is saved before it is used"
    assert log.state.seconds == pytest.approx(10.5)
