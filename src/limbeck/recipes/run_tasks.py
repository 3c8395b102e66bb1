"""The runs of a comparison, each at most once and one at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from limbeck.progress import FAILED, Progress
from limbeck.recipes.inputs import Inputs
from limbeck.recipes.plan import PlannedRun
from limbeck.recipes.run import run

SHARED = "shared"
"""Folder of what several runs of a comparison need, as tables of scores."""


@dataclass(frozen=True)
class RunTask:
    """A run of a comparison that is to be begun or gone on with."""

    planned: PlannedRun


def run_tasks(tasks: Sequence[RunTask], folder: Path, inputs: Inputs, progress: Progress) -> Iterator[RunTask]:
    """Runs all, and gives each as soon as it ended, whether it finished or failed.

    Args:
        tasks: none of which has finished.
        folder: of the comparison.
        inputs: images and teacher.
        progress: who watches; every run is watched beside the others.

    Raises:
        Interrupted: stopped by Ctrl-C or SIGTERM.
    """
    for task in tasks:
        line = progress.beside(task.planned.title)
        line.close(_run(task, folder, inputs, line))
        yield task


def _run(task: RunTask, folder: Path, inputs: Inputs, progress: Progress) -> str:
    """What came of it, in a few words."""
    planned = task.planned
    how = {"resume": True, "inside": False, "shared": folder / SHARED}
    try:
        result = run(planned.recipe, folder / planned.folder, inputs=inputs, progress=progress, **how)
    except Exception as error:  # whatever broke this arm, the others go on; its folder keeps the traceback
        return f"{FAILED}: {error}"
    assert result.evaluation is not None
    return f"{result.evaluation.top1:.2%} in {result.cost['seconds']:.1f} s"
