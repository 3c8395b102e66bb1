"""The loop: one for training from labels and for distilling, on one process or many."""

from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, broadcast_object_list
from torch import Tensor

from limbeck.data.image_set import ImageSet
from limbeck.data.soft_targets import SoftTargets
from limbeck.data.views import augmentation
from limbeck.interruption import Interrupted, StopRequest, listening_for_stop
from limbeck.models.classifier import Classifier
from limbeck.models.forward import FrozenTeacher
from limbeck.models.shared_memory import keeping_shared
from limbeck.objectives.sums import WeightedSum
from limbeck.precision import resolve_channels_last, resolve_precision
from limbeck.progress import Progress, Silent
from limbeck.randomness import derive_seed
from limbeck.training.batches import BatchStream
from limbeck.training.checkpoint import Checkpoint
from limbeck.training.checks import check_learns, check_parts, check_processes
from limbeck.training.distributed import leave_at_exit
from limbeck.training.launcher import check_accelerator, check_torch, make_accelerator
from limbeck.training.log import TrainingLog
from limbeck.training.run_folder import RunFolder
from limbeck.training.schedule import Phases, make_optimizer
from limbeck.training.settings import TrainingSettings
from limbeck.training.setup import meet
from limbeck.training.state import Chosen, LoopState
from limbeck.training.step import DistillationStep
from limbeck.training.threads import threads_for, work_of_step
from limbeck.training.validation import validate
from limbeck.training.view_cache.cache import ViewCache, open_view_cache


@dataclass(frozen=True)
class TrainingResult:
    """What a run of the loop made; counters include what went before an interruption.

    Attributes:
        student: the student given, after the last step, or what a method such as simkd makes of it.
        chosen: the same at its best validation; None without validation images.
        steps: of the whole run.
        teacher_passes: answers of the teacher to an image.
        teacher_passes_saved: how many of these it gave before and were read from the view cache.
        seconds: wall-clock time in the loop.
        view_cache: what was kept of the teacher's answers, None where nothing was; see `ViewCache.summary`.
    """

    student: Classifier
    chosen: Chosen | None
    steps: int
    teacher_passes: int
    teacher_passes_saved: int
    seconds: float
    view_cache: dict[str, Any] | None


def fit(
    student: Classifier,
    images: ImageSet,
    objective: WeightedSum,
    *,
    settings: TrainingSettings,
    run_folder: RunFolder,
    seed: int,
    teacher: Classifier | None = None,
    soft_labels: SoftTargets | Tensor | None = None,
    validation: ImageSet | None = None,
    accelerator: Accelerator | None = None,
    progress: Progress | None = None,
) -> TrainingResult:
    """Teaches `student` on `images`, in place; goes on where `run_folder` holds a checkpoint.

    One seed gives one student, bit for bit on one CPU, however often the run was interrupted.

    Args:
        student: its weights are the starting point.
        images: the transfer set.
        objective: what to minimise; its terms say what they need. Their projectors and memories are made here.
        settings: optimiser, schedule, budget, precision.
        run_folder: the run folder, open; metrics and checkpoints go there.
        seed: of order, views and dropout.
        teacher: left untouched; a private frozen copy answers.
        soft_labels: [N, K] aligned with `images`, in place of a teacher; a bare tensor is probabilities.
        validation: held-out labelled images that choose among the states of the run.
        accelerator: where to run, without precision, accumulation or compilation of its own; by default the first GPU,
            or the CPU.
        progress: who watches.

    Raises:
        UserError: parts that do not fit together and variables of the environment that contradict `settings`, before
            the first step; a loss that is not finite.
        Interrupted: Ctrl-C or SIGTERM; the state at that step is saved.
    """
    check_torch()  # first: what it finds would show as faults of the student
    check_parts(student, images, objective, settings, teacher, soft_labels, validation)
    leave_at_exit()
    if accelerator is None:
        accelerator = make_accelerator(settings)
    check_accelerator(accelerator)
    check_processes(settings, accelerator.num_processes)
    device, total = accelerator.device, settings.total_steps(len(images))
    dtype, channels_last = _computing(settings, accelerator)
    progress = progress or Silent()
    views = augmentation(settings.views, per_image=settings.views_per_image)
    batches = BatchStream(
        images,
        augmentation=views,
        batch_size=settings.batch_size,
        seed=seed,
        device=device,
        soft_labels=SoftTargets(soft_labels) if isinstance(soft_labels, Tensor) else soft_labels,
        channels_last=channels_last,
        process=accelerator.process_index,
        processes=accelerator.num_processes,
    )
    objective.build(meet(student, teacher, objective, images, batches[0], settings.batch_size), seed=seed)
    phases = Phases.of(objective, settings, total)
    frozen = _freeze(teacher, objective, device, dtype, channels_last=channels_last, compile=settings.compile)
    cache = None
    if frozen is not None and settings.cache:
        cache = open_view_cache(frozen, images, views, settings.cache, say=progress.say)
    processes = accelerator.num_processes
    student = _place(student, device, channels_last=channels_last, compile=settings.compile)
    model_step = DistillationStep(student, objective, device=device, dtype=dtype, processes=processes).to(device)
    taught = objective.taught(student)
    state = LoopState(student, taught, objective, make_optimizer(model_step.parameters(), settings))
    judge = partial(validate, taught, validation, dtype, device) if validation is not None else None

    work = work_of_step(student, teacher if frozen is not None else None, images.shape, settings.batch_size)
    with _own_dropout(seed, device), threads_for(work, device):
        run_folder.note_computing(dtype, channels_last, torch.get_num_threads())
        if run_folder.checkpoint.exists():
            state.restore(Checkpoint.load(run_folder.checkpoint))
            run_folder.rewind_metrics(state.step)
        log = TrainingLog(
            run_folder,
            state,
            settings,
            total=total,
            epoch_images=len(images),
            average=partial(_average, accelerator),
            processes=processes,
            boundary=phases.preparing,
            validate=judge,
            progress=progress,
        )
        with closing(log), closing(cache) if cache is not None else nullcontext():
            _teach(model_step, frozen, cache, batches, state, log, phases, accelerator)
    return TrainingResult(
        taught,
        state.chosen,
        total,
        state.teacher_passes,
        state.teacher_passes_saved,
        state.seconds,
        None if cache is None else cache.summary(),
    )


def _teach(
    model_step: DistillationStep,
    frozen: FrozenTeacher | None,
    cache: ViewCache | None,
    batches: BatchStream,
    state: LoopState,
    log: TrainingLog,
    phases: Phases,
    accelerator: Accelerator,
) -> None:
    """The loop itself, from the state's step to the log's last."""
    settings, objective = phases.settings, model_step.objective
    _allow_idle_parameters(accelerator, objective)
    model, optimizer = accelerator.prepare(model_step, state.optimizer)
    model.train()
    with listening_for_stop() as stop:
        for step in range(state.step, log.total):
            preparing = phases.is_preparing(step)
            if step == phases.preparing:
                state.optimizer.state.clear()  # momenta of the preparing phase
            batch = batches[step]
            wanted = objective.outputs_needed("teacher", preparing=preparing)
            asked, remembered = None, 0
            if cache is not None and wanted:
                asked, remembered = cache(batch.images, batches.entries(step), wanted)
            elif frozen is not None and wanted:
                asked = frozen(batch.images, want=wanted | {"logits"})
            loss, terms = model(batch, asked, preparing=preparing, progress=phases.progress(step))

            rate = phases.learning_rate(step)
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad()
            check_learns(loss, step, list(terms))
            accelerator.backward(loss)
            if settings.clip_norm is not None:
                accelerator.clip_grad_norm_(model.parameters(), settings.clip_norm)
            optimizer.step()

            state.step = step + 1
            state.teacher_passes += settings.batch_size if asked is not None else 0
            log.add(step, loss, terms, remembered=remembered)
            stopping = _agreed(stop, accelerator)
            if log.due(state.step) or stopping:
                log.write(rate, stopping=stopping)
            if stopping:
                raise Interrupted(f"stopped at step {state.step} of {log.total}")


def _average(accelerator: Accelerator, values: Tensor) -> Tensor:
    """The mean over all processes, which talk to each other from their devices."""
    reduced = accelerator.reduce(values.to(accelerator.device), reduction="mean")
    assert isinstance(reduced, Tensor)
    return reduced


def _agreed(stop: StopRequest, accelerator: Accelerator) -> bool:
    """Whether to stop after this step; a signal that reached one process of many stops all of them at the same one."""
    if accelerator.num_processes == 1:
        return bool(stop)
    return bool(accelerator.reduce(torch.tensor(float(stop.asked), device=accelerator.device)))


def _computing(settings: TrainingSettings, accelerator: Accelerator) -> tuple[torch.dtype, bool]:
    """Precision, and whether memory is channels-last; of several processes, the first one decides."""
    dtype = resolve_precision(settings.precision, accelerator.device)
    chosen = [dtype, resolve_channels_last(settings.channels_last, accelerator.device, dtype)]
    dtype, channels_last = broadcast_object_list(chosen)
    return dtype, channels_last


def _place(student: Classifier, device: torch.device, *, channels_last: bool, compile: bool) -> Classifier:
    """On the device, in the memory order and, if asked for, the compiled form that it is trained in."""
    with keeping_shared(student):
        student.to(device).to(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    if compile:
        student.network.compile()
    return student


def _freeze(
    teacher: Classifier | None,
    objective: WeightedSum,
    device: torch.device,
    dtype: torch.dtype,
    *,
    channels_last: bool,
    compile: bool,
) -> FrozenTeacher | None:
    """The teacher's private copy, or None where no term reads its answers."""
    if teacher is None or not objective.outputs_needed("teacher"):
        return None
    return FrozenTeacher(teacher, device=device, dtype=dtype, channels_last=channels_last, compile=compile)


def _allow_idle_parameters(accelerator: Accelerator, objective: WeightedSum) -> None:
    """Tells distributed training that a step may leave parameters out, as the head's where no term reads logits."""
    if accelerator.num_processes > 1 and objective.outputs_needed("student") != {"logits"}:
        handler = DistributedDataParallelKwargs(find_unused_parameters=True)
        accelerator.ddp_handler = handler  # pyright: ignore[reportAttributeAccessIssue] (typed as None)


@contextmanager
def _own_dropout(seed: int, device: torch.device) -> Iterator[None]:
    """Dropout draws from the global generator: a seeded one inside, the caller's own again outside."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(derive_seed(seed, "dropout"))
        yield
