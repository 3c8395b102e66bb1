"""Number of threads of a comparison's runs, fixed once, since it changes rounding."""

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
    """Threads of every run: the number the comparison was begun with, however many workers there are now.

    A new comparison takes one thread if the steps of all its runs are small, as these are computed by one thread anyway
    (see `training.threads`), so that any number of workers trains the same students; otherwise each worker's share of
    the cores, which is reported.
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
    """One run for every combination of student, batch size, and with or without a teacher."""
    kinds = {
        (str(run.recipe.student), run.recipe.training.batch_size, run.recipe.teacher is None): run.recipe
        for run in planned
    }
    return list(kinds.values())


def _is_small(recipe: Recipe, inputs: Inputs) -> bool:
    teacher = None if recipe.teacher is None else inputs.teacher
    with suppress(UserError):  # a broken arm reports its error when it is run
        student = build_student(recipe.student, inputs, seed=recipe.seed)
        with errors_of(f"the student {student.name}"):
            work = work_of_step(student, teacher, inputs.shape, recipe.training.batch_size)
        return default_device().type != "cpu" or work < ONE_THREAD
    return True
