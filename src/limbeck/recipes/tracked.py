"""The run of a recipe in a tracker: its name there, and the numbers shown at the end."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from limbeck.recipes.schema import Recipe
from limbeck.training.run_folder import RunFolder
from limbeck.training.tracking import RunTracker


@contextmanager
def tracking(recipe: Recipe, run_folder: RunFolder, *, of_comparison: bool) -> Iterator[RunTracker | None]:
    """A tracker's run for that of `recipe`, closed at the end of the block; None if the recipe names no tracker, and in
    all processes but the one that writes.

    Args:
        recipe: of one run.
        run_folder: open.
        of_comparison: whether it is one of the runs of a comparison, by whose name they are grouped.
    """
    if recipe.tracker is None or not run_folder.writes:
        yield None
        return
    place = run_folder.path.absolute()
    tracker = RunTracker(
        recipe.tracker,
        run_folder,
        title=f"{place.parent.name}/{place.name}" if of_comparison else recipe.name,
        group=recipe.name if of_comparison else None,
        config=recipe.model_dump(mode="json", exclude={"compare", "tracker", "summary"}),
    )
    try:
        yield tracker
    finally:
        tracker.close()


def last_numbers(evaluations: Mapping[str, Any], cost: Mapping[str, Any]) -> dict[str, Any]:
    """Final numbers of a run: test results after the last step and at its best validation, and the cost."""
    return {"test": evaluations["last"], "test_chosen": evaluations["chosen"], "cost": cost["total"]}
