"""Teaches one expert or judge by the ordinary training loop, and resumes what was begun."""

import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from limbeck.data.image_set import ImageSet
from limbeck.errors import UserError
from limbeck.locks import only_one
from limbeck.models.classifier import Classifier
from limbeck.models.shared_memory import private_copy
from limbeck.objectives.sums import weighted_sum
from limbeck.progress import Progress
from limbeck.randomness import derive_seed
from limbeck.training.batches import Passes
from limbeck.training.checkpoint import Checkpoint
from limbeck.training.loop import fit
from limbeck.training.run_folder import FINISHED, RunFolder, wait_until_free
from limbeck.training.settings import TrainingSettings
from limbeck.transfer.condense.expert_settings import Experts
from limbeck.transfer.condense.experts.intervals import Intervals
from limbeck.transfer.condense.experts.observer import Snapshots, save_parameters, snapshot_path
from limbeck.transfer.condense.experts.store import COST_FILE, expert_folder, judge_path

Networks = Callable[[int], Classifier]


class TrainingTask(NamedTuple):
    """A network to teach: an expert, whose snapshots are kept, or a judge, which is taught to the end."""

    kind: Literal["expert", "judge"]
    number: int

    def __str__(self) -> str:
        return f"{self.kind} {self.number}"


@dataclass(frozen=True)
class Teaching:
    """Teaches experts and judges one after another, in this process or a worker.

    Attributes:
        settings: of the training; their numbers of experts and judges are not read.
        networks: seed -> fresh network.
        images: to teach on.
        intervals: between snapshots.
        passes: of a curriculum, the images that each pass shows; None without one.
        folder: of all experts.
        kept: numbers of the snapshots.
        seed: each expert derives its own from it.
        about: noted in the folder of each.
    """

    settings: Experts
    networks: Networks
    images: ImageSet
    intervals: Intervals
    passes: Passes | None
    folder: Path
    kept: tuple[int, ...]
    seed: int
    about: dict[str, Any]

    def __call__(self, task: TrainingTask, progress: Progress, *, wait: bool = True) -> bool:
        """Teaches one network as far as settings ask, unless another run that shares the experts has done so.

        Args:
            task: what to teach.
            progress: reports progress.
            wait: whether to wait for a network that another run is teaching, instead of leaving it to that run.

        Returns:
            Whether it is taught now.

        Raises:
            UserError: it cannot be taught, or its snapshots cannot be kept.
            Interrupted: stopped by Ctrl-C or SIGTERM.
        """
        waiting = "another run teaches it, and is waited for"
        name = f"{task.kind}-{task.number}"
        with only_one(self.folder, lambda: progress.say(waiting), task=name, wait=wait) as alone:
            if alone and not self.is_done(task):
                self._teach(task, progress)
        return alone

    def _teach(self, task: TrainingTask, progress: Progress) -> None:
        folder = self.place(task)
        wait_until_free(folder)  # a worker whose master was killed may still be saving
        steps, seed = self.steps(task), derive_seed(self.seed, task.kind, task.number)
        recipe = {task.kind: task.number, **self.about, "steps": steps}
        with RunFolder.open(folder, recipe, resume=True, may_change=("steps", *self.about)) as run_folder:
            student = private_copy(self.networks(seed), "network")
            observers = [self._snapshots(student, run_folder)] if task.kind == "expert" else []
            try:
                result = fit(
                    student,
                    self.images,
                    weighted_sum("cross_entropy"),
                    settings=training_settings(self.settings, steps, self.intervals),
                    run_folder=run_folder,
                    seed=seed,
                    observers=observers,
                    passes=self.passes,
                    progress=progress,
                )
            except UserError as error:
                raise UserError(f"{task}, whose `training` is `experts`: {error}") from error
            if task.kind == "judge":
                save_parameters(result.student, judge_path(self.folder, task.number))
            run_folder.write(COST_FILE, result.cost.to_dict())
            run_folder.set_state(FINISHED)

    def place(self, task: TrainingTask) -> Path:
        number = task.number
        return expert_folder(self.folder, number) if task.kind == "expert" else judge_path(self.folder, number).parent

    def steps(self, task: TrainingTask) -> int:
        """Number of steps of its whole training."""
        return self.intervals.step(self.kept[-1] if task.kind == "expert" else self.settings.epochs)

    def is_done(self, task: TrainingTask) -> bool:
        """Whether it has been taught as far as settings ask.

        Raises:
            UserError: a judge has been taught for more epochs than that.
        """
        run_folder = RunFolder(self.place(task))
        if not run_folder.finished:
            return False
        if task.kind == "expert":
            return not missing(run_folder.path, self.kept)
        done, wanted = checkpoint_step(run_folder), self.steps(task)
        if done > wanted:
            raise UserError(
                f"`experts.epochs` must not be lower than when the judges in {str(self.folder)!r} were taught, got "
                f"{self.settings.epochs}, which is {wanted:,} steps, and they were taught for {done:,}; raise it, or "
                "make others in another folder."
            )
        return done == wanted

    def _snapshots(self, student: Classifier, run_folder: RunFolder) -> Snapshots:
        """Takes the missing snapshots; where training is beyond one, it begins again, which gives the same bits."""
        folder = run_folder.path
        done = checkpoint_step(run_folder)
        if any(self.intervals.step(number) <= done for number in missing(folder, self.kept)):
            run_folder.checkpoint.unlink()
        existing = [int(path.stem) for path in snapshot_path(folder, 0).parent.glob("[0-9]*.safetensors")]
        numbers = {self.intervals.step(number): number for number in sorted({*existing, *self.kept})}
        return Snapshots(student, numbers, folder, self.settings.format)


@dataclass(frozen=True)
class MakeTeaching:
    """Makes `Teaching` in whatever process it is called.

    Attributes:
        images: to teach on, or a function that loads them.
        fingerprint: of the images in the process that began.
        rest: all other attributes of `Teaching`.
    """

    images: ImageSet | Callable[[], ImageSet]
    fingerprint: str
    rest: Mapping[str, Any]

    def __call__(self) -> Teaching:
        images = self.images if isinstance(self.images, ImageSet) else self.images()
        if images.fingerprint != self.fingerprint:
            raise UserError(
                f"the images that {images.name!r} names on {platform.node()} are others than where it began"
            )
        return Teaching(images=images, **self.rest)


def training_settings(settings: Experts, steps: int, intervals: Intervals) -> TrainingSettings:
    """Settings of an expert's training: precision and memory format are fixed, so that it is the same everywhere.

    The rate falls at the same steps however long the training is, so that it can be gone on with for more.
    """
    views, sharpness = settings.views, settings.sharpness
    falls = [step for step in map(intervals.step, settings.milestones) if step < steps]
    falling = {"schedule": "multi-step", "milestones": [step / steps for step in falls], "decay": settings.decay}
    return TrainingSettings.model_validate(
        {
            "steps": steps,
            "batch_size": intervals.batch_size,
            "optimizer": "sgd",
            "learning_rate": settings.learning_rate,
            "momentum": settings.momentum,
            "weight_decay": settings.weight_decay,
            **(falling if falls else {"schedule": "constant"}),
            "views": "none",
            "validations": 0,
            "precision": "fp32",
            "channels_last": False,
            **({} if views in (None, "none") else {"normalised_views": views}),
            **({} if sharpness is None else {"sharpness": sharpness.model_dump()}),
        }
    )


def missing(folder: Path, kept: Iterable[int]) -> list[int]:
    """Numbers of the snapshots that an expert's folder lacks."""
    return [number for number in kept if not snapshot_path(folder, number).exists()]


def checkpoint_step(run_folder: RunFolder) -> int:
    """Step of a run's checkpoint; -1 where there is none."""
    path = run_folder.checkpoint
    return Checkpoint.load(path).step if path.exists() else -1
