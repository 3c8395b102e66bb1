"""Executes the runs of a comparison, each at most once: in sequence in this process, or in parallel by workers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from limbeck.errors import UserError
from limbeck.foreign import described
from limbeck.interruption import Paused
from limbeck.progress import FAILED, Progress
from limbeck.recipes.handing_over import HandedOver
from limbeck.recipes.inputs import Inputs
from limbeck.recipes.plan import PlannedRun
from limbeck.recipes.run import run
from limbeck.training.run_folder import wait_until_free
from limbeck.workers import Crew
from limbeck.workers.crew import Task
from limbeck.workers.shares import computing_on

SHARED = "shared"
"""Folder for what several runs of a comparison need, such as score tables."""


@dataclass(frozen=True)
class RunTask:
    """A run of a comparison that is to be begun or resumed.

    Attributes:
        planned: the run.
        until: share of its steps after which it pauses; None for all of them.
    """

    planned: PlannedRun
    until: Fraction | None = None


@dataclass(frozen=True)
class Runs:
    """Where and with what the runs of a comparison are executed.

    Attributes:
        folder: of the comparison.
        inputs: images and teacher.
        progress: receives the progress, with a line for every run.
        threads: number of threads of each run, in any process.
        crew: workers that execute them; None is this process.
        handed_over: from which workers get the same inputs.
    """

    folder: Path
    inputs: Inputs
    progress: Progress
    threads: int
    crew: Crew | None = None
    handed_over: HandedOver | None = None


def run_tasks(tasks: Sequence[RunTask], runs: Runs) -> Iterator[RunTask]:
    """Executes unfinished runs, and yields each as soon as it has finished, paused or failed.

    Raises:
        UserError: workers cannot start, or keep dying.
        Interrupted: stopped by Ctrl-C or SIGTERM.
    """
    if runs.crew is None:
        for task in tasks:
            line = runs.progress.beside(task.planned.title)
            with computing_on(runs.threads):
                outcome = _run(task, runs.folder, runs.inputs, line)
            line.close(outcome)
            yield task
        return
    assert runs.handed_over is not None, "workers are told where their inputs are"
    named = [Task(task, task.planned.title) for task in tasks]
    make = _Begin(runs.folder.absolute(), runs.handed_over)

    def watch(task: Task) -> Progress:
        return runs.progress.beside(task.title)

    for task, outcome, line in runs.crew.work(make, named, watch, [runs.folder], threads=runs.threads):
        line.close(outcome)
        yield task.content


class _Begin:
    """Makes, in a worker, a runner that executes one run after another with the same inputs."""

    def __init__(self, folder: Path, handed_over: HandedOver) -> None:
        self.folder = folder
        self.handed_over = handed_over

    def __call__(self) -> "_Runner":
        return _Runner(self.folder, self.handed_over.inputs(self.folder))


@dataclass(frozen=True)
class _Runner:
    folder: Path
    inputs: Inputs

    def __call__(self, task: RunTask, progress: Progress) -> str:
        return _run(task, self.folder, self.inputs, progress)


def _run(task: RunTask, folder: Path, inputs: Inputs, progress: Progress) -> str:
    """Executes a run; returns its outcome in a few words."""
    planned = task.planned
    how = {"resume": True, "inside": False, "shared": folder / SHARED}
    try:
        wait_until_free(folder / planned.folder)  # a worker of a killed comparison may still be saving it
        result = run(planned.recipe, folder / planned.folder, inputs=inputs, progress=progress, until=task.until, **how)
    except Paused as pause:
        return str(pause)
    except UserError as error:
        return f"{FAILED}: {error}"
    except Exception as error:  # the other arms continue; the folder keeps the traceback
        return f"{FAILED}: {described(error)}"
    assert result.evaluation is not None
    return f"{result.evaluation.top1:.2%} in {result.cost['seconds']:.1f} s"
