"""What is written down while a run goes on: losses, validations, checkpoints, progress."""

import time
from collections.abc import Callable

import torch
from torch import Tensor

from limbeck.training.checks import check_weights
from limbeck.training.losses import LossLog
from limbeck.training.progress import Progress
from limbeck.training.record import RunRecord
from limbeck.training.settings import TrainingSettings
from limbeck.training.state import LoopState

_LINES = 100  # of losses in a run's metrics, at least one every 50 steps


class Journal:
    """Decides when something is due, and does it.

    Args:
        record: where to.
        state: what a checkpoint holds.
        settings: how often to validate and to save.
        total: steps of the run.
        epoch_images: size of the transfer set.
        average: the mean of a tensor over the processes of a distributed run.
        processes: how many these are.
        boundary: step at which the preparing phase ends; losses are not averaged across it.
        validate: scores of the present student on the validation images, or None without any.
    """

    def __init__(
        self,
        record: RunRecord,
        state: LoopState,
        settings: TrainingSettings,
        *,
        total: int,
        epoch_images: int,
        average: Callable[[Tensor], Tensor],
        processes: int = 1,
        boundary: int = 0,
        validate: Callable[[], dict[str, float]] | None,
        progress: Progress,
    ) -> None:
        self.record = record
        self.state = state
        self.settings = settings
        self.total = total
        self.epoch_images = epoch_images
        self.boundary = boundary
        self.validate = validate
        self.progress = progress
        self.interval = max(1, min(50, total // _LINES))
        count = settings.validations if validate else 0
        self.validation_steps = {round(total * k / count) for k in range(1, count + 1)} - {0}
        self.average = average
        self.processes = processes
        self.losses = LossLog(average)
        self.remembered = 0
        self.started = time.perf_counter() - state.seconds
        self.lap = self.saved = time.perf_counter()
        progress.begin("training", total, state.step)

    def close(self) -> None:
        self.progress.end()

    def due(self, step: int) -> bool:
        """Whether anything is to be written after `step` steps."""
        return step % self.interval == 0 or step in self.validation_steps or step in (self.boundary, self.total)

    def add(self, step: int, loss: Tensor, terms: dict[str, Tensor], *, remembered: int) -> None:
        """Notes a step; `remembered` of the teacher's answers to this process were known before."""
        self.losses.add(step, loss, terms)
        self.remembered += remembered

    def write(self, rate: float, *, stopping: bool) -> None:
        """Logs the losses, validates and saves what is due at the state's step."""
        self._log_losses(rate)
        validating = self.validate is not None and self.state.step in self.validation_steps
        if validating:
            self._validate()
        overdue = time.perf_counter() - self.saved > self.settings.checkpoint_seconds
        if validating or overdue or stopping or self.state.step == self.total:
            self._save()
        self.lap = time.perf_counter()

    def _log_losses(self, rate: float) -> None:
        self._count_remembered()
        steps = len(self.losses)
        loss, terms = self.losses.flush(self._last_good())
        now = time.perf_counter()
        self.state.seconds = now - self.started
        speed = steps * self.settings.batch_size / (now - self.lap)
        self.record.append_metrics(
            kind="train",
            **self._where(),
            loss=loss,
            terms=terms,
            learning_rate=rate,
            images_per_second=round(speed, 1),
            seconds=round(self.state.seconds, 3),
        )
        self.progress.update(self.state.step, f"loss {loss:.3f} · {speed:,.0f} images/s")

    def _count_remembered(self) -> None:
        share = self.average(torch.tensor(float(self.remembered)))
        self.state.teacher_passes_saved += round(float(share) * self.processes)
        self.remembered = 0

    def _validate(self) -> None:
        assert self.validate is not None
        scores = self.validate()
        self.record.append_metrics(kind="validation", **self._where(), **scores)
        self.state.consider(scores["top1"])

    def _save(self) -> None:
        check_weights(self.state, self._last_good())
        self.state.seconds = time.perf_counter() - self.started
        if self.record.writes:
            self.state.checkpoint().save(self.record.checkpoint)
        self.state.saved_step = self.state.step
        self.saved = time.perf_counter()

    def _where(self) -> dict[str, float]:
        step = self.state.step
        return {"step": step, "epoch": round(step * self.settings.batch_size / self.epoch_images, 4)}

    def _last_good(self) -> str:
        if self.state.saved_step is None:
            return "No checkpoint was written before."
        return f"The last good checkpoint is that of step {self.state.saved_step}, {str(self.record.checkpoint)!r}."
