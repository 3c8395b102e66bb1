"""Extending a run beyond its end: a run that was begun for fewer steps becomes the beginning of a longer one.

That is possible where every step so far would have been the same in a run begun with more steps: training continues
from the state after the last such step, and the student is that of the longer run, bit for bit.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from limbeck.errors import UserError
from limbeck.files import atomic_folder, atomic_path
from limbeck.objectives.sums import WeightedSum
from limbeck.training.checkpoint import Checkpoint
from limbeck.training.run_folder import INPUTS_FILE, Difference, RunFolder
from limbeck.training.schedule import Phases, validation_steps
from limbeck.training.settings import TrainingSettings
from limbeck.training.tracking import forget_later_steps

LENGTH = ("steps", "epochs")
SHAPING = (*LENGTH, "schedule", "warmup", "milestones", "decay", "cooldown", "validations")
"""Settings of training that may change with the length, as long as all steps so far would have been the same."""

_RESULTS = (
    "evaluation.json",
    "cost.json",
    "student",
    "student-chosen",
    "report.html",
    "inside.safetensors",
    "README.md",
)
_BESIDE = ("recipe.yaml", "status.json", "environment.json", INPUTS_FILE, "metrics.jsonl", "energy.json")


@dataclass(frozen=True)
class Extension:
    """How a run becomes a longer one.

    Attributes:
        run_folder: of the run.
        total: steps that it was begun for.
        checkpoint: the last state that belongs to the longer run; None if no step was done yet.
        step: number of steps done at that state.
        remark: how it will differ from a run begun with more steps, in words; "" if it will not.
    """

    run_folder: RunFolder
    total: int
    checkpoint: Path | None
    step: int
    remark: str = ""

    def carry_out(self) -> None:
        """Puts the run into that state; its results so far are kept in a folder of their own."""
        run_folder = self.run_folder
        if run_folder.finished:
            _keep_results(run_folder, self.total)
        run_folder.set_state("interrupted")  # before anything is removed, so that the run can be resumed
        for name in _RESULTS:
            _remove(run_folder.path / name)
        if self.checkpoint is not None and self.checkpoint != run_folder.checkpoint:
            with atomic_path(run_folder.checkpoint) as temporary:
                shutil.copyfile(self.checkpoint, temporary)
            run_folder.rewind_metrics(self.step)
            forget_later_steps(run_folder)


def is_longer(differences: Sequence[Difference]) -> bool:
    """Whether only the length of training differs, and settings that may change with it."""
    names = {
        difference.path.removeprefix("training.")
        for difference in differences
        if difference.path.startswith("training.")
    }
    return len(names) == len(differences) and names <= {*SHAPING} and bool(names & {*LENGTH})


def extension(
    run_folder: RunFolder,
    before: TrainingSettings,
    now: TrainingSettings,
    objective: WeightedSum,
) -> Extension:
    """How a run continues for longer than it was begun for.

    Args:
        run_folder: of the run, finished or not.
        before: settings that it was begun with.
        now: the same with more steps, and other changes within `SHAPING`.
        objective: what it minimises.

    Raises:
        UserError: there are not more steps; or steps already done depend on their total number.
    """
    places = [path for path in (run_folder.checkpoint, run_folder.stable_checkpoint) if path.exists()]
    if not places and not run_folder.finished:
        return Extension(run_folder, 0, None, 0)
    where = f"the run in {str(run_folder.path)!r}"
    if not places:
        raise UserError(f"{where} cannot go on: its checkpoint.safetensors is gone. Begin a new one (another --out).")
    saved = [Checkpoint.load(path, tensors=False) for path in places]
    images = _images(run_folder, saved[0], (before, now))
    begun, longer = (
        Phases.of(objective, settings, settings.total_steps(images)) for settings in _with_rates(before, now)
    )
    if longer.total <= begun.total:
        raise UserError(
            f"{where} was begun for {begun.total:,} steps and can go on for more, got {longer.total:,}; set "
            f"`training.steps` above that, or begin a new run (another --out)."
        )
    if reason := _never(saved[0], objective):
        raise UserError(
            f"{where} cannot go on beyond {begun.total:,} steps: {reason}. Begin a new run (another --out)."
        )
    for place, state in zip(places, saved, strict=True):
        if _first_other(begun, longer, state.step) is None:
            remark = _remark(run_folder, state.step, longer.total, now)
            return Extension(run_folder, begun.total, place, state.step, remark)
    step = _first_other(begun, longer, saved[0].step)
    assert step is not None
    raise UserError(f"{where} cannot go on beyond {begun.total:,} steps: {_why(begun, longer, step)}.")


def _images(run_folder: RunFolder, saved: Checkpoint, both: Sequence[TrainingSettings]) -> int:
    """Images of the transfer set; any number where lengths are given in steps."""
    if all(settings.steps is not None for settings in both):
        return 1
    images = saved.notes.get("images") or (run_folder.read("cost.json") or {}).get("images")
    if images is None:  # an earlier version of limbeck stopped before its end
        raise UserError(
            f"the run in {str(run_folder.path)!r} was begun by an earlier version, which did not note how many steps "
            "its `training.epochs` are; finish it as it is, and then go on."
        )
    return images


def _with_rates(*both: TrainingSettings) -> list[TrainingSettings]:
    """Settings with a number in place of the rate that the transfer set carries, which is the same in both."""
    return [
        settings.model_copy(update={"learning_rate": 1.0}) if settings.learning_rate == "learned" else settings
        for settings in both
    ]


def _never(saved: Checkpoint, objective: WeightedSum) -> str:
    """Why a run of this kind depends on its length from the first step on; "" where it does not."""
    if saved.notes.get("rounds", {}).get("steps") is not None:
        return "its images are made in rounds, whose number shares out the budget"
    reading = [name for name, term in objective.objectives().items() if "progress" in term.needs]
    if reading:
        return f"the objective {', '.join(reading)} weighs its loss by the share of the steps that are done"
    return ""


def _first_other(begun: Phases, longer: Phases, steps: int) -> int | None:
    """The first of `steps` steps in which the two differ; None if there is none."""
    differing = (
        step
        for step in range(steps)
        if begun.is_preparing(step) != longer.is_preparing(step)
        or begun.learning_rate(step) != longer.learning_rate(step)
    )
    return next(differing, None)


def _why(begun: Phases, longer: Phases, step: int) -> str:
    if begun.is_preparing(step) != longer.is_preparing(step) or begun.preparing != longer.preparing:
        return (
            f"its preparing phase is a share of the steps, {begun.preparing:,} of these and {longer.preparing:,} of "
            f"{longer.total:,}; begin a new run (another --out)"
        )
    settings, rates = begun.settings, [f"{phases.learning_rate(step):.4g}" for phases in (begun, longer)]
    what = (
        f"the learning rate of step {step + 1:,} was {rates[0]} and would have been {rates[1]} in a run of "
        f"{longer.total:,}"
    )
    warmup = settings.warmup_steps(begun.total - begun.preparing)
    if step < warmup and longer.settings.schedule in ("constant", "warmup-stable-decay"):
        return f"{what}, whose warm-up is a share of the steps; add -s training.warmup={warmup}, which it was"
    return (
        f"{what}, as `training.schedule: {settings.schedule}` hangs on their number; begin a new run (another --out), "
        "at best with `constant` or `warmup-stable-decay`, which can go on, and with `training.warmup` in steps"
    )


def _remark(run_folder: RunFolder, step: int, total: int, now: TrainingSettings) -> str:
    """The remark on validations unlike those of a longer run, which only affect the validation-chosen student."""
    done = {row["step"] for row in run_folder.metrics() if row["kind"] == "validation" and row["step"] <= step}
    if not done or done == {due for due in validation_steps(total, now.validations) if due <= step}:
        return ""
    every, rest = divmod(total, min(done))
    same = "" if rest else f"; with -s training.validations={every} it would be"
    return (
        f"the run in {str(run_folder.path)!r} goes on after step {step:,}; up to there it did not validate where a run "
        f"that was begun with {total:,} does, so that its last student will be the same, but its validation-chosen one "
        f"may not be{same}"
    )


def _keep_results(run_folder: RunFolder, total: int) -> None:
    """Copies the finished run into a folder of its own."""
    kept = run_folder.path / f"after-{total}-steps"
    if kept.exists():  # left by an extension that was interrupted
        return
    with atomic_folder(kept) as folder:
        for name in (*_BESIDE, *_RESULTS):
            place = run_folder.path / name
            if place.is_dir():
                shutil.copytree(place, folder / name)
            elif place.exists():
                shutil.copyfile(place, folder / name)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
