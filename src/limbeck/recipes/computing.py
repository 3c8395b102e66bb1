"""On how many threads the runs of a comparison compute, which is settled once, since threads shape rounding."""

from collections.abc import Sequence
from contextlib import suppress

from limbeck.device import default_device
from limbeck.errors import UserError
from limbeck.foreign import errors_of
from limbeck.progress import Progress
from limbeck.recipes.inputs import Inputs, build_student
from limbeck.recipes.plan import PlannedRun
from limbeck.recipes.schema import Recipe
from limbeck.training.run_folder import RunFolder
from limbeck.training.threads import ONE_THREAD, work_of_step
from limbeck.workers.shares import cores, threads_each

THREADS_FILE = "threads.json"


def settle_threads(
    planned: Sequence[PlannedRun], run_folder: RunFolder, inputs: Inputs, workers: int, progress: Progress
) -> int:
    """Those of every run: what the comparison was begun on, however many workers there are now.

    One that begins takes one thread where the steps of all its runs are small, as they are then computed by one
    anyway (see `training.threads`), so that any number of workers makes the same students; else each worker's part of
    the cores, which is said.
    """
    stored = run_folder.read(THREADS_FILE)
    threads = threads_each(workers) if stored is None else int(stored["threads"])
    if stored is None:
        small = all(_is_small(recipe, inputs) for recipe in _distinct(planned))
        threads = 1 if small else threads
        run_folder.write(THREADS_FILE, {"threads": threads})
        if not small and workers > 1:
            progress.say(
                f"every run computes on {threads} of {cores()} cores, and will when the comparison is resumed with "
                "another number of workers, since threads shape rounding"
            )
    if workers > cores():
        progress.say(f"{workers} workers share {cores()} cores; as many workers as cores are seldom slower")
    elif threads * workers > cores():
        progress.say(
            f"the comparison was begun with {threads} threads a run and keeps them; {workers} workers share "
            f"{cores()} cores"
        )
    return threads


def _distinct(planned: Sequence[PlannedRun]) -> list[Recipe]:
    """A run of every student, batch size, and with and without a teacher."""
    kinds = {
        (str(run.recipe.student), run.recipe.training.batch_size, run.recipe.teacher is None): run.recipe
        for run in planned
    }
    return list(kinds.values())


def _is_small(recipe: Recipe, inputs: Inputs) -> bool:
    teacher = None if recipe.teacher is None else inputs.teacher
    with suppress(UserError):  # an arm that is broken says so in its turn
        student = build_student(recipe.student, inputs, seed=recipe.seed)
        with errors_of(f"the student {student.name}"):
            work = work_of_step(student, teacher, inputs.shape, recipe.training.batch_size)
        return default_device().type != "cpu" or work < ONE_THREAD
    return True
