"""Runs that are extended: resumed for more steps than they were begun with."""

from collections.abc import Callable, Sequence

from limbeck.objectives.sums import weighted_sum
from limbeck.recipes.making import MADE_FILE
from limbeck.recipes.schema import Recipe
from limbeck.recipes.work_folder import rounding_remark, rounding_settings
from limbeck.training.extension import Extension, extension, is_longer
from limbeck.training.run_folder import Difference, Extend, RunFolder
from limbeck.training.settings import TrainingSettings


def extending(recipe: Recipe, say: Callable[[str], None]) -> Extend:
    """For `RunFolder.open`: decides whether the existing run can be the beginning of that of `recipe`, and how.

    Before its images are made, settings that change them only by rounding may also differ.
    """

    def extend(
        run_folder: RunFolder, differences: list[Difference]
    ) -> tuple[list[Difference], Callable[[], None] | None]:
        free = () if recipe.transfer is None else rounding_settings(recipe.transfer.maker)
        if free and not (run_folder.path / MADE_FILE).exists():
            changed = {difference.path.removeprefix("transfer."): difference for difference in differences}
            for path in (name for name in free if name in changed):
                say(rounding_remark(path, changed[path].then, changed[path].now))
                differences = [difference for difference in differences if difference != changed[path]]
        if not is_longer(differences):
            return differences, None
        longer = extension_of(recipe, run_folder, differences)
        if longer.remark:
            say(longer.remark)
        return [], longer.carry_out

    return extend


def extension_of(recipe: Recipe, run_folder: RunFolder, differences: Sequence[Difference]) -> Extension:
    """How the existing run becomes the longer one of `recipe`.

    Args:
        recipe: of one run.
        run_folder: of the existing run.
        differences: between the two recipes, which only make the run longer.

    Raises:
        UserError: see `limbeck.training.extension.extension`.
    """
    then = {difference.path.removeprefix("training."): difference.then for difference in differences}
    before = TrainingSettings.model_validate({**recipe.training.model_dump(), **then})
    return extension(run_folder, before, recipe.training, weighted_sum(recipe.resolved_objective()))
