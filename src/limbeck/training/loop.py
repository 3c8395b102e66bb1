"""The loop: one for training from labels and for distilling, on one process or many."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, broadcast_object_list
from torch import Tensor

from limbeck.autotune import fastest_for
from limbeck.cost import Cost
from limbeck.data.image_set import ImageSet
from limbeck.data.transfer_set import TransferSet
from limbeck.data.transfer_source import TransferSource, transfer_source
from limbeck.data.views import augmentation
from limbeck.errors import UserError
from limbeck.interruption import Interrupted, Paused, StopRequest, listening_for_stop
from limbeck.memory import keeping_freed_memory
from limbeck.models.classifier import Classifier, Outputs
from limbeck.models.forward import FrozenTeacher, compile_network
from limbeck.models.shared_memory import keeping_shared
from limbeck.objectives.sums import WeightedSum
from limbeck.precision import resolve_channels_last, resolve_precision
from limbeck.progress import Progress, Silent
from limbeck.training.batches import Batch, Passes
from limbeck.training.checkpoint import Checkpoint, keeping_state
from limbeck.training.checks import check_networks, check_parts, check_processes, check_source
from limbeck.training.distributed import leave_at_exit
from limbeck.training.launcher import check_accelerator, check_torch, make_accelerator
from limbeck.training.log import TrainingLog
from limbeck.training.observers import Observer
from limbeck.training.random_state import own_generators, renew_dropout
from limbeck.training.rounds import Rounds, RoundStream
from limbeck.training.run_folder import RunFolder
from limbeck.training.schedule import Phases, make_optimizer, with_rate
from limbeck.training.settings import TrainingSettings
from limbeck.training.setup import setup_for
from limbeck.training.sharpness import gradient_of
from limbeck.training.state import Best, LoopState
from limbeck.training.step import DistillationStep
from limbeck.training.threads import threads_for, work_of_step
from limbeck.training.tracking import RunTracker
from limbeck.training.validation import Validator

_USUAL_SIZE = (32, 32)  # of images of which a student takes any
AGREE_EVERY = 10
"""Steps, at most, after which the processes of a run ask each other whether one of them was told to stop."""


@dataclass(frozen=True)
class TrainingResult:
    """What a run of the loop made; costs include what went before an interruption.

    Attributes:
        student: the student given, after the last step, or what a method such as simkd makes of it.
        best: the same at its best validation; None without validation images.
        cost: of the loop itself: images shown, teacher passes and those that the view cache saved, steps, seconds.
        rounds_cost: of what the source made before each round, as it tells.
        view_cache: what was kept of the teacher's outputs, None where nothing was; see `ViewCache.summary`.
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
    """Teaches `student` on what `source` gives, in place; goes on where `run_folder` holds a checkpoint.

    One seed gives one student, bit for bit on one CPU, however often the run was interrupted.

    Args:
        student: its weights are the starting point.
        source: of the images, with soft labels or without; a set is the same in every round.
        objective: what to minimise; its terms say what they need. Their projectors and memories are made here.
        settings: optimiser, schedule, budget, precision.
        run_folder: the run folder, open; metrics and checkpoints go there.
        seed: of order, views and dropout.
        teacher: left untouched; a private frozen copy answers.
        validation: held-out images that choose among the states of the run: by accuracy where they have labels, else
            by agreement with the teacher.
        validation_logits: the teacher's logits for validation images without labels, float32 [N, K], if it was asked
            already.
        observers: are shown every step and epoch; their state is in the checkpoints.
        passes: number of a pass over a set that does not change -> positions int64 [n] of the images that it shows, as
            in a curriculum; None for all. An epoch stays as many images as the set holds.
        accelerator: where to run, without precision, accumulation or compilation of its own; by default the first GPU,
            or the CPU.
        progress: who watches.
        until: share of the steps, between 0 and 1, after which to pause; a later call goes on as if without a pause.
        tracker: is shown the metrics, in the process that writes.

    Raises:
        UserError: parts that do not fit together and variables of the environment that contradict `settings`, before
            the first step; a round of other images than the first; a loss that is not finite.
        Interrupted: Ctrl-C or SIGTERM; the state at that step is saved.
        Paused: `until` is reached; the state at that step is saved.
    """
    check_torch()  # first: what it finds would show as faults of the student
    source, progress = transfer_source(source), progress or Silent()
    check_networks(student, teacher)
    check_source(source, objective, settings, whole=passes is None)
    accelerator = _checked(accelerator, settings)
    device, processes = accelerator.device, accelerator.num_processes
    dtype, channels_last = _computing(settings, accelerator, student)
    _place(student, device, channels_last=channels_last)

    saved = Checkpoint.load(run_folder.checkpoint) if run_folder.checkpoint.exists() else None
    rounds = Rounds(source, seed, accelerator)
    rounds.begin(saved, student)
    images = rounds.transfer_set.images
    check_parts(student, rounds.transfer_set, objective, settings, teacher, validation)
    settings = with_rate(settings, rounds.transfer_set)
    objective.build(setup_for(student, teacher, objective, images, settings.batch_size), seed=seed)
    phases = Phases.of(objective, settings, settings.total_steps(len(images)))

    frozen = _freeze(teacher, objective, settings, accelerator)
    views = augmentation(settings.views, per_image=settings.views_per_image)
    stream = RoundStream(
        rounds, views, phases, teacher=frozen, channels_last=channels_last, say=progress.say, passes=passes
    )
    compile_network(student.network, settings.compile)
    graphs = settings.compile == "graphs"
    model_step = DistillationStep(
        student, objective, device=device, dtype=dtype, processes=processes, graphs=graphs
    ).to(device)
    evaluated, optimizer = objective.evaluated_network(student), make_optimizer(model_step.parameters(), settings)
    state = LoopState(student, evaluated, objective, optimizer, rounds, settings.batch_size, observers)

    work = work_of_step(student, None if frozen is None else teacher, images.shape, settings.batch_size)
    alone = own_generators(device, seed, "dropout")
    with closing(stream), alone, threads_for(work, device), keeping_freed_memory():
        run_folder.note_computing(dtype, channels_last, torch.get_num_threads(), resumed=saved is not None)
        _resume(state, saved, run_folder, tracker)
        validator = (
            None if validation is None else Validator(evaluated, validation, teacher, dtype, device, validation_logits)
        )
        log = TrainingLog(
            run_folder,
            state,
            phases,
            average=partial(_average, accelerator),
            processes=processes,
            validate=validator,
            progress=progress,
            tracker=tracker,
        )
        with closing(log):
            if saved is None and source.steps_per_round is not None:
                log.save()  # so that the images of the first round are not made again
            _teach(model_step, stream, state, log, phases, accelerator, _pause(until, phases.total))
    return TrainingResult(evaluated, state.best, state.cost, rounds.cost, stream.view_cache)


def _resume(state: LoopState, saved: Checkpoint | None, run_folder: RunFolder, tracker: RunTracker | None) -> None:
    """Brings the state to the saved step, and what was logged of the run with it; without one, to the beginning."""
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
    """The loop itself, from the state's step to `pause` or the log's last."""
    if pause <= state.step < log.total:
        raise Paused(state.step, log.total, (state.cost + state.rounds.cost).to_dict())
    rounds, objective, several = state.rounds, state.objective, accelerator.num_processes > 1
    _allow_idle_parameters(accelerator, objective)
    with keeping_state(state.optimizer):
        model, _ = accelerator.prepare(model_step, state.optimizer)
    optimizer = state.optimizer  # its wrapper would look for a package that is not there twice a step, 0.3 ms
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

            # Nothing up to here waits for the device, nor does anything below but for what is due.
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
    """Shows the observers a step, and the epochs that it ended."""
    for observer in state.observers:
        if outputs is not None:
            observer.after_step(state.step, batch, outputs)
        for epoch in epochs:
            observer.after_epoch(epoch, state.evaluated)


def _pause(until: Fraction | float | None, total: int) -> int:
    """The step after which to pause, rounded as those of validations are."""
    if until is None:
        return total
    if not 0 < until < 1:
        raise UserError(f"`until` must be a share of the steps, > 0 and < 1, got {until}.")
    return max(1, round(total * until))


def _checked(accelerator: Accelerator | None, settings: TrainingSettings) -> Accelerator:
    """The accelerator that is given, or one for the machine at hand, where it trains as `settings` say."""
    leave_at_exit()
    if accelerator is None:
        accelerator = make_accelerator(settings)
    check_accelerator(accelerator)
    check_processes(settings, accelerator.num_processes)
    return accelerator


def _freeze(
    teacher: Classifier | None, objective: WeightedSum, settings: TrainingSettings, accelerator: Accelerator
) -> FrozenTeacher | None:
    """The teacher's private copy, or None where no term reads its outputs.

    It computes alike whatever student is taught, as its answers are kept for all.
    """
    if teacher is None or not objective.outputs_needed("teacher"):
        return None
    dtype, channels_last = _computing(settings, accelerator)
    return FrozenTeacher(
        teacher, device=accelerator.device, dtype=dtype, channels_last=channels_last, compile=settings.compile
    )


def _average(accelerator: Accelerator, values: Tensor) -> Tensor:
    """The mean over all processes, which talk to each other from their devices."""
    reduced = accelerator.reduce(values.to(accelerator.device), reduction="mean")
    assert isinstance(reduced, Tensor)
    return reduced


def _agreed(stop: StopRequest, accelerator: Accelerator) -> bool:
    """Whether to stop after this step; a signal that reached one process of many stops all of them at the same one."""
    if accelerator.num_processes == 1:
        return bool(stop)
    return bool(accelerator.reduce(torch.tensor(float(stop.requested), device=accelerator.device)))


def _computing(
    settings: TrainingSettings, accelerator: Accelerator, student: Classifier | None = None
) -> tuple[torch.dtype, bool]:
    """Precision, and whether memory is channels-last; of several processes, the first one decides."""
    device, fastest = accelerator.device, None
    automatic = "auto" in (settings.precision, settings.channels_last)
    if student is not None and automatic and accelerator.is_main_process:
        height, width = student.input_size or _USUAL_SIZE
        fastest = fastest_for(student, (student.channels, height, width), device)
    dtype = resolve_precision(settings.precision, device, fastest)
    chosen = [dtype, resolve_channels_last(settings.channels_last, device, dtype, fastest)]
    dtype, channels_last = broadcast_object_list(chosen)
    return dtype, channels_last


def _place(student: Classifier, device: torch.device, *, channels_last: bool) -> None:
    """On the device, in the memory order that it is trained in."""
    with keeping_shared(student):
        student.to(device).to(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


def _allow_idle_parameters(accelerator: Accelerator, objective: WeightedSum) -> None:
    """Tells distributed training that a step may leave parameters out, as the head's where no term reads logits."""
    if accelerator.num_processes > 1 and objective.outputs_needed("student") != {"logits"}:
        handler = DistributedDataParallelKwargs(find_unused_parameters=True)
        accelerator.ddp_handler = handler  # pyright: ignore[reportAttributeAccessIssue] (typed as None)
