"""Builds the parts of a run before its first step, and checks that they fit together."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from limbeck.autotune import fastest_for
from limbeck.data.image_set import ImageSet
from limbeck.data.transfer_source import TransferSource
from limbeck.data.views import augmentation
from limbeck.models.classifier import Classifier
from limbeck.models.forward import FrozenTeacher, compile_network
from limbeck.models.shared_memory import keeping_shared
from limbeck.objectives.sums import WeightedSum
from limbeck.precision import resolve_channels_last, resolve_precision
from limbeck.progress import Progress
from limbeck.training.batches import Passes
from limbeck.training.checkpoint import Checkpoint
from limbeck.training.checks import check_parts
from limbeck.training.observers import Observer
from limbeck.training.rounds import Rounds, RoundStream
from limbeck.training.run_folder import RunFolder
from limbeck.training.schedule import Phases, make_optimizer, with_rate
from limbeck.training.settings import TrainingSettings
from limbeck.training.setup import setup_for
from limbeck.training.state import LoopState
from limbeck.training.step import DistillationStep
from limbeck.training.threads import work_of_step

_USUAL_SIZE = (32, 32)  # of images, for a student that takes any size


@dataclass(frozen=True)
class Run:
    """What a run is built of before its first step.

    Attributes:
        saved: the checkpoint that it resumes from, or None.
        dtype, channels_last: what the student computes in, and its memory order.
        work: multiply-adds of a step.
    """

    saved: Checkpoint | None
    phases: Phases
    stream: RoundStream
    model_step: DistillationStep
    state: LoopState
    dtype: torch.dtype
    channels_last: bool
    work: float


def set_up(
    student: Classifier,
    source: TransferSource,
    objective: WeightedSum,
    *,
    settings: TrainingSettings,
    run_folder: RunFolder,
    seed: int,
    teacher: Classifier | None,
    validation: ImageSet | None,
    observers: Sequence[Observer],
    passes: Passes | None,
    accelerator: Accelerator,
    progress: Progress,
) -> Run:
    """The parts of a run, for the arguments of `limbeck.training.loop.fit`; the student is moved to its device.

    Raises:
        UserError: they do not fit together, or the checkpoint cannot be read.
    """
    dtype, channels_last = _computing(settings, accelerator, student)
    _place(student, accelerator.device, channels_last=channels_last)

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
    model_step = DistillationStep(
        student,
        objective,
        device=accelerator.device,
        dtype=dtype,
        processes=accelerator.num_processes,
        graphs=settings.compile == "graphs",
    ).to(accelerator.device)
    evaluated, optimizer = objective.evaluated_network(student), make_optimizer(model_step.parameters(), settings)
    state = LoopState(student, evaluated, objective, optimizer, rounds, settings.batch_size, observers)
    work = work_of_step(student, None if frozen is None else teacher, images.shape, settings.batch_size)
    return Run(saved, phases, stream, model_step, state, dtype, channels_last, work)


def _freeze(
    teacher: Classifier | None, objective: WeightedSum, settings: TrainingSettings, accelerator: Accelerator
) -> FrozenTeacher | None:
    """The teacher's private copy, or None where no term reads its outputs.

    It computes in the same way whatever the student, as its outputs are cached for all students.
    """
    if teacher is None or not objective.outputs_needed("teacher"):
        return None
    dtype, channels_last = _computing(settings, accelerator)
    return FrozenTeacher(
        teacher, device=accelerator.device, dtype=dtype, channels_last=channels_last, compile=settings.compile
    )


def _computing(
    settings: TrainingSettings, accelerator: Accelerator, student: Classifier | None = None
) -> tuple[torch.dtype, bool]:
    """Precision, and whether memory is channels-last; the first of several processes decides for all."""
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
    """Moves the student to the device, in the memory order of training."""
    with keeping_shared(student):
        student.to(device).to(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
