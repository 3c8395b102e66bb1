"""What is written during a run: losses, validations, checkpoints, progress."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from limbeck.errors import UserError
from limbeck.progress import TRAINING, Progress
from limbeck.training.checks import check_weights
from limbeck.training.run_folder import RunFolder
from limbeck.training.schedule import Phases, validation_steps
from limbeck.training.state import LoopState
from limbeck.training.tracking import RunTracker
from limbeck.training.validation import measure_of

WRITING_SHARE = 0.05
"""Largest share of a run's time spent on optional checkpoints, however large these are."""
_LINES = 100  # of losses in a run's metrics, at least one every 50 steps


class TrainingLog:
    """Decides when to log, validate and save, and does it.

    Args:
        run_folder: where to write.
        state: what a checkpoint holds.
        phases: of the run, with its settings; losses are not averaged across phases.
        average: the mean of a tensor over the processes of a distributed run.
        processes: how many there are.
        validate: computes the present student's scores on the validation images, or None without any.
        progress: reports progress.
        tracker: gets every row of the metrics, too.
        clock: current time in seconds, from any origin.
    """

    def __init__(
        self,
        run_folder: RunFolder,
        state: LoopState,
        phases: Phases,
        *,
        average: Callable[[Tensor], Tensor],
        processes: int = 1,
        validate: Callable[[], dict[str, Any]] | None,
        progress: Progress,
        tracker: RunTracker | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.run_folder = run_folder
        self.state = state
        self.phases = phases
        self.settings = phases.settings
        self.total = phases.total
        self.validate = validate
        self.progress = progress
        self.tracker = tracker
        self.clock = clock
        self.interval = max(1, min(50, self.total // _LINES))
        count = self.settings.validations if validate else 0
        self.validation_steps = validation_steps(self.total, count)
        self.average = average
        self.processes = processes
        self.losses = LossLog(average)
        self.known = 0
        self.begun = self.lap = self.saved = clock()
        self.started = self.begun - state.seconds
        self.writing = self.last_write = 0.0  # seconds spent on checkpoints in this session, and on the last one
        progress.begin(TRAINING, self.total, state.step)

    def close(self) -> None:
        self.progress.end()

    def due(self, step: int) -> bool:
        """Whether anything is to be written after `step` steps."""
        return (
            step % self.interval == 0
            or step in self.validation_steps
            or step in (self.phases.preparing, self.phases.stable, self.total)
            or self.state.rounds.at(step) == (self.state.rounds.number + 1, 0)
        )

    def add(self, step: int, loss: Tensor, terms: dict[str, Tensor], *, known: int) -> None:
        """Notes a step; `known` of the teacher's outputs for this process's images were in the view cache."""
        self.losses.add(step, loss, terms)
        self.known += known

    def write(self, rate: float, *, stopping: bool) -> None:
        """Logs the losses, validates and saves what is due at the state's step."""
        self._log_losses(rate)
        validating = self.validate is not None and self.state.step in self.validation_steps
        if validating:
            self._validate()
        stable = self.state.step == self.phases.stable
        if stopping or stable or self.state.step == self.total or self._may_save(at_once=validating):
            self.save()
        if stable:
            self.run_folder.keep_stable()
        self.lap = self.clock()

    def save(self) -> None:
        """Writes a checkpoint.

        Raises:
            UserError: the weights are not finite, or the disk is full; the last checkpoint stays.
        """
        check_weights(self.state.student, self.state.step, self._last_good())
        before = self.clock()
        self.state.seconds = before - self.started
        if self.run_folder.writes:
            self.state.checkpoint().save(self.run_folder.checkpoint)
        self.state.saved_step = self.state.step
        self.saved = self.clock()
        self.last_write = self.saved - before
        self.writing += self.last_write

    @contextmanager
    def between_rounds(self) -> Iterator[None]:
        """Inside, images are made, whose time the source counts itself; afterwards saves a checkpoint if it is time."""
        before = self.clock()
        yield
        passed = self.clock() - before
        self.started += passed
        if self._may_save():
            self.save()
        self.lap = self.clock()

    def _may_save(self, *, at_once: bool = False) -> bool:
        """Whether one more checkpoint as slow as the last is affordable, and, unless `at_once`, it is time for one."""
        now = self.clock()
        if self.settings.checkpoint_seconds == 0:  # at every occasion, as the settings ask
            return True
        affordable = self.writing + self.last_write <= WRITING_SHARE * (now - self.begun)
        return affordable and (at_once or now - self.saved > self.settings.checkpoint_seconds)

    def _log_losses(self, rate: float) -> None:
        self._count_known()
        steps = len(self.losses)
        loss, terms = self.losses.flush(self._last_good())
        now = self.clock()
        self.state.seconds = now - self.started
        speed = steps * self.settings.batch_size / (now - self.lap)
        self._note(
            kind="train",
            **self._where(),
            loss=loss,
            terms=terms,
            learning_rate=rate,
            images_per_second=round(speed, 1),
            seconds=round(self.state.seconds, 3),
        )
        self.progress.update(self.state.step, f"loss {loss:.3f} · {speed:,.0f} images/s")

    def _count_known(self) -> None:
        share = self.average(torch.tensor(float(self.known)))
        self.state.teacher_passes_saved += round(float(share) * self.processes)
        self.known = 0

    def _validate(self) -> None:
        assert self.validate is not None
        scores = self.validate()
        self._note(kind="validation", **self._where(), **scores)
        measure = measure_of(scores)
        self.state.keep_if_best(scores[measure], measure)

    def _note(self, **row: Any) -> None:
        self.run_folder.append_metrics(**row)
        if self.tracker is not None:
            self.tracker.log(row)

    def _where(self) -> dict[str, float]:
        size = len(self.state.rounds.transfer_set)
        shown = self.state.epochs * size + self.state.shown
        return {"step": self.state.step, "epoch": round(shown / size, 4)}

    def _last_good(self) -> str:
        if self.state.saved_step is None:
            return "No checkpoint was written before."
        return f"The last good checkpoint is that of step {self.state.saved_step}, {str(self.run_folder.checkpoint)!r}."


class LossLog:
    """Collects each step's loss and terms; `flush` averages them and finds the first that is not finite.

    Args:
        average: the mean of a tensor over the processes of a distributed run.
    """

    def __init__(self, average: Callable[[Tensor], Tensor]) -> None:
        self._average = average
        self._names: list[str] = []
        self._rows: list[Tensor] = []
        self._first = 0

    def add(self, step: int, loss: Tensor, terms: dict[str, Tensor]) -> None:
        if not self._rows:
            self._first = step
            self._names = list(terms)
        self._rows.append(torch.stack([loss.detach(), *terms.values()]))

    def flush(self, kept: str) -> tuple[float, dict[str, float]]:
        """Mean loss and mean terms since the last flush.

        Args:
            kept: where the last good state is, for the error.

        Raises:
            UserError: a loss was NaN or infinite; names the first such step and the term.
        """
        rows = self._average(torch.stack(self._rows)).cpu()
        self._rows = []
        bad = ~rows.isfinite()
        if bad.any():
            row = int(bad.any(dim=1).nonzero()[0])
            terms = [name for name, wrong in zip(self._names, bad[row, 1:], strict=True) if wrong] or ["the sum"]
            raise UserError(
                f"the loss is not finite at step {self._first + row + 1}: {', '.join(terms)} became "
                f"{float(rows[row][bad[row]][-1])}. {kept} "
                "Try a lower `training.learning_rate` or `training.clip_norm: 5`."
            )
        mean = rows.mean(dim=0).tolist()
        return mean[0], dict(zip(self._names, mean[1:], strict=True))

    def __len__(self) -> int:
        return len(self._rows)
