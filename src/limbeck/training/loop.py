"""The training loop, for labels and for distillation, in one process or several."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor

from limbeck.cost import Cost
from limbeck.data.image_set import ImageSet
from limbeck.data.transfer_set import TransferSet
from limbeck.data.transfer_source import TransferSource, transfer_source
from limbeck.errors import UserError
from limbeck.interruption import Interrupted, Paused, StopRequest, listening_for_stop
from limbeck.memory import keeping_freed_memory
from limbeck.models.classifier import Classifier, Outputs
from limbeck.objectives.sums import WeightedSum
from limbeck.progress import Progress, Silent
from limbeck.training.batches import Batch, Passes
from limbeck.training.building import Run, set_up
from limbeck.training.checkpoint import Checkpoint, keeping_state
from limbeck.training.checks import check_networks, check_processes, check_source
from limbeck.training.distributed import leave_at_exit
from limbeck.training.launcher import check_accelerator, check_torch, make_accelerator
from limbeck.training.log import TrainingLog
from limbeck.training.observers import Observer
from limbeck.training.random_state import own_generators, renew_dropout
from limbeck.training.rounds import RoundStream
from limbeck.training.run_folder import RunFolder
from limbeck.training.schedule import Phases
from limbeck.training.settings import TrainingSettings
from limbeck.training.sharpness import gradient_of
from limbeck.training.state import Best, LoopState
from limbeck.training.step import DistillationStep
from limbeck.training.threads import threads_for
from limbeck.training.tracking import RunTracker
from limbeck.training.validation import Validator

AGREE_EVERY = 10
"""Largest number of steps after which the processes of a run agree on whether one of them was told to stop."""


@dataclass(frozen=True)
class TrainingResult:
    """The result of a run of the loop; costs include those before an interruption.

    Attributes:
        student: the given student after the last step, or the network that a method such as simkd makes of it.
        best: the same at its best validation; None without validation images.
        cost: of the loop itself: images shown, teacher passes and those that the view cache saved, steps, seconds.
        rounds_cost: of making the images of each round, as reported by the source.
        view_cache: what was cached of the teacher's outputs, None if nothing was; see `ViewCache.summary`.
    """

    student: Classifier
    best: Best | None
    cost: Cost
    rounds_cost: Cost
    view_cache: dict[str, Any] | None

    @property
    def steps(self) -> int:
        return self.cost.steps

    @property
    def teacher_passes(self) -> int:
        return self.cost.teacher_passes

    @property
    def teacher_passes_saved(self) -> int:
        return self.cost.passes_saved

    @property
    def seconds(self) -> float:
        return self.cost.seconds


def fit(
    student: Classifier,
    source: TransferSource | TransferSet | ImageSet,
    objective: WeightedSum,
    *,
    settings: TrainingSettings,
    run_folder: RunFolder,
    seed: int,
    teacher: Classifier | None = None,
    validation: ImageSet | None = None,
    validation_logits: Tensor | None = None,
    observers: Sequence[Observer] = (),
    passes: Passes | None = None,
    accelerator: Accelerator | None = None,
    progress: Progress | None = None,
    until: Fraction | float | None = None,
    tracker: RunTracker | None = None,
) -> TrainingResult:
    """Trains `student` in place on the images of `source`; resumes where `run_folder` holds a checkpoint.

    The same seed gives the same student, bit for bit on one CPU, however often the run was interrupted.

    Args:
        student: its weights are the starting point.
        source: of the images, with or without soft labels; a set is used in every round.
        objective: what to minimise; its terms say what they need. Their projectors and memories are built here.
        settings: optimiser, schedule, budget, precision.
        run_folder: the run folder, open; metrics and checkpoints go there.
        seed: of order, views and dropout.
        teacher: not changed; a private frozen copy is used.
        validation: held-out images that choose among the states of the run: by accuracy where they have labels, else
            by agreement with the teacher.
        validation_logits: the teacher's logits for validation images without labels, float32 [N, K], if they are known
            already.
        observers: called after every step and epoch; their state is in the checkpoints.
        passes: number of a pass over a set that does not change -> positions int64 [n] of the images that it shows, as
            in a curriculum; None for all. An epoch stays as many images as the set holds.
        accelerator: where to run, without precision, accumulation or compilation of its own; by default the first GPU,
            or the CPU.
        progress: reports progress.
        until: share of the steps, between 0 and 1, after which to pause; a later call continues as if without a pause.
        tracker: gets the metrics, in the process that writes.

    Raises:
        UserError: parts that do not fit together and variables of the environment that contradict `settings`, before
            the first step; a round of other images than the first; a loss that is not finite.
        Interrupted: Ctrl-C or SIGTERM; the state at that step is saved.
        Paused: `until` is reached; the state at that step is saved.
    """
    check_torch()  # first: global settings that it refuses would otherwise look like faults of the student
    source, progress = transfer_source(source), progress or Silent()
    check_networks(student, teacher)
    check_source(source, objective, settings, whole=passes is None)
    accelerator = _checked(accelerator, settings)
    run = set_up(
        student,
        source,
        objective,
        settings=settings,
        run_folder=run_folder,
        seed=seed,
        teacher=teacher,
        validation=validation,
        observers=observers,
        passes=passes,
        accelerator=accelerator,
        progress=progress,
    )
    state, device = run.state, accelerator.device
    alone = own_generators(device, seed, "dropout")
    with closing(run.stream), alone, threads_for(run.work, device), keeping_freed_memory():
        _note_computing(run, run_folder, accelerator.num_processes)
        _resume(state, run.saved, run_folder, tracker)
        validator = None
        if validation is not None:
            validator = Validator(state.evaluated, validation, teacher, run.dtype, device, validation_logits)
        log = TrainingLog(
            run_folder,
            state,
            run.phases,
            average=partial(_average, accelerator),
            processes=accelerator.num_processes,
            validate=validator,
            progress=progress,
            tracker=tracker,
        )
        with closing(log):
            if run.saved is None and source.steps_per_round is not None:
                log.save()  # so that a resumed run does not make the images of the first round again
            pause = _pause(until, run.phases.total)
            _teach(run.model_step, run.stream, state, log, run.phases, accelerator, pause)
    return TrainingResult(state.evaluated, state.best, state.cost, state.rounds.cost, run.stream.view_cache)


def _note_computing(run: Run, run_folder: RunFolder, processes: int) -> None:
    resumed, threads = run.saved is not None, torch.get_num_threads()
    run_folder.note_computing(run.dtype, run.channels_last, threads, processes=processes, resumed=resumed)


def _resume(state: LoopState, saved: Checkpoint | None, run_folder: RunFolder, tracker: RunTracker | None) -> None:
    """Restores the state and the logged metrics to the saved step, or to the beginning where nothing is saved."""
    if saved is None:
        run_folder.forget_metrics()
    else:
        state.restore(saved)
    logged = run_folder.metrics()
    if logged:
        run_folder.rewind_metrics(state.step)
    if tracker is not None:
        tracker.begin(state.step, logged)


def _teach(
    model_step: DistillationStep,
    stream: RoundStream,
    state: LoopState,
    log: TrainingLog,
    phases: Phases,
    accelerator: Accelerator,
    pause: int,
) -> None:
    """The loop itself, from the state's step to step `pause` or the last one."""
    if pause <= state.step < log.total:
        raise Paused(state.step, log.total, (state.cost + state.rounds.cost).to_dict())
    rounds, objective, several = state.rounds, state.objective, accelerator.num_processes > 1
    _allow_idle_parameters(accelerator, objective)
    with keeping_state(state.optimizer):
        model, _ = accelerator.prepare(model_step, state.optimizer)
    optimizer = state.optimizer  # its wrapper would look for a missing package twice a step, 0.3 ms
    gradient = gradient_of(model_step, optimizer, phases.settings)
    model.train()
    renew_dropout(rounds.seed, accelerator.process_index, state.step)
    with listening_for_stop() as stop:
        for step in range(state.step, log.total):
            number, step_in_round = rounds.at(step)
            if number != rounds.number:
                with log.between_rounds():
                    rounds.refresh(number, state.evaluated)
                    stream.next_round()
            preparing = phases.is_preparing(step)
            if step == phases.preparing:
                state.forget_momenta()  # of the preparing phase

            batch = stream.batch(step_in_round)  # images [B, C, H, W], labels and ids [B] int64
            want = objective.outputs_needed("teacher", preparing=preparing)
            outputs, known = stream.teacher_outputs(batch, step_in_round, want)  # logits [B, K] float32, ...
            forward = partial(model, batch, outputs, preparing=preparing, elapsed=phases.elapsed(step))
            loss, terms = gradient(forward, accelerator.backward, step)  # scalars

            rate = phases.set_rate(optimizer, step)
            if phases.settings.clip_norm is not None:
                accelerator.clip_grad_norm_(model.parameters(), phases.settings.clip_norm)
            optimizer.step()

            # Nothing above waits for the device, nor does anything below except when something is due.
            state.teacher_passes += state.batch_size if outputs is not None else 0
            log.add(step, loss, terms, known=known)
            ended = state.count_step()  # epochs
            _show(state, batch, model_step.student_outputs, ended)
            due = log.due(state.step)
            if due or not several or state.step % AGREE_EVERY == 0:
                stopping = _agreed(stop, accelerator)
                renew_dropout(rounds.seed, accelerator.process_index, state.step)
                pausing = pause <= state.step < log.total
                if due or stopping or pausing:
                    log.write(rate, stopping=stopping or pausing)
                if stopping:
                    raise Interrupted(f"stopped at step {state.step} of {log.total}")
                if pausing:
                    raise Paused(state.step, log.total, (state.cost + rounds.cost).to_dict())


@torch.no_grad()
def _show(state: LoopState, batch: Batch, outputs: Outputs | None, epochs: range) -> None:
    """Calls the observers after a step, and for the epochs that it ended."""
    for observer in state.observers:
        if outputs is not None:
            observer.after_step(state.step, batch, outputs)
        for epoch in epochs:
            observer.after_epoch(epoch, state.evaluated)


def _pause(until: Fraction | float | None, total: int) -> int:
    """The step after which to pause, rounded like the steps of validations."""
    if until is None:
        return total
    if not 0 < until < 1:
        raise UserError(f"`until` must be a share of the steps, > 0 and < 1, got {until}.")
    return max(1, round(total * until))


def _checked(accelerator: Accelerator | None, settings: TrainingSettings) -> Accelerator:
    """The given accelerator, or one for this machine, checked against `settings`."""
    leave_at_exit()
    if accelerator is None:
        accelerator = make_accelerator(settings)
    check_accelerator(accelerator)
    check_processes(settings, accelerator.num_processes)
    return accelerator


def _average(accelerator: Accelerator, values: Tensor) -> Tensor:
    """The mean over all processes, which communicate from their devices."""
    reduced = accelerator.reduce(values.to(accelerator.device), reduction="mean")
    assert isinstance(reduced, Tensor)
    return reduced


def _agreed(stop: StopRequest, accelerator: Accelerator) -> bool:
    """Whether to stop after this step; a signal to one of several processes stops all of them at the same step."""
    if accelerator.num_processes == 1:
        return bool(stop)
    return bool(accelerator.reduce(torch.tensor(float(stop.requested), device=accelerator.device)))


def _allow_idle_parameters(accelerator: Accelerator, objective: WeightedSum) -> None:
    """Tells distributed training that a step may not use all parameters, e.g. the head where no term reads logits."""
    if accelerator.num_processes > 1 and objective.outputs_needed("student") != {"logits"}:
        handler = DistributedDataParallelKwargs(find_unused_parameters=True)
        accelerator.ddp_handler = handler  # pyright: ignore[reportAttributeAccessIssue] (typed as None)
