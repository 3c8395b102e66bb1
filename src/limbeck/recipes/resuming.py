"""Runs that a resumed comparison already holds: they stay, are extended, or are put aside."""

import itertools
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from limbeck.errors import UserError
from limbeck.files import atomic_folder
from limbeck.progress import Progress
from limbeck.recipes.extending import extending, extension_of
from limbeck.recipes.handed_images import renewing
from limbeck.recipes.plan import PlannedRun
from limbeck.recipes.racing import RACING_FILE
from limbeck.recipes.schema import Recipe
from limbeck.training.extension import is_longer
from limbeck.training.run_folder import Difference, RunFolder, overrides_to_repeat
from limbeck.transfer.words import few

_TABLES = ("results.json", "results.csv", "summary.csv", "results.tex")
_FOUND = (*_TABLES, "report.html", "frontier.svg", "arms.svg", RACING_FILE)


def check_unchanged(recipe: Recipe, planned: Sequence[PlannedRun], folder: Path) -> list[PlannedRun]:
    """Checks that the existing runs were made by these recipes; a comparison may grow, and failed runs may be fixed.

    Returns:
        The runs to extend beyond the steps they were begun with.

    Raises:
        UserError: runs of another recipe; runs to extend that race, or of which some cannot be extended.
    """
    wrong, differences, longer, short = [], {}, [], []
    for run in planned:
        own = replace(run, repeats=None)  # an arm that had a run of its own cannot become a control
        run_folder = RunFolder(folder / own.folder)
        changed = _changed(run, run_folder, but="failed")
        if changed and is_longer(changed):
            longer.append(run)
            try:
                extension_of(run.recipe, run_folder, changed)
            except UserError as error:
                short.append(str(error))
            continue
        differences |= {difference.path: difference for difference in changed}
        if changed:
            wrong.append(f"{run.folder} differs in {'; '.join(map(str, changed[:3]))}")
    if wrong:
        raise UserError(
            f"{str(folder)!r} holds runs of another recipe: {'. '.join(wrong[:3])}. Arms, budgets and seeds may be "
            "added, but not changed; give a changed arm another name, or choose another --out. "
            f"{overrides_to_repeat(list(differences.values()))}."
        )
    if short:
        raise UserError(
            f"{len(short)} of {len(longer)} runs in {str(folder)!r} cannot go on for longer, and as runs of several "
            f"lengths would not compare, none does: {short[0]}"
        )
    if longer and recipe.compare is not None and recipe.compare.racing is not None:
        raise UserError(
            f"the runs in {str(folder)!r} cannot go on for longer while they race: arms were stopped at shares of the "
            "steps that they had. Switch it off (-s compare.racing=null), or choose another --out."
        )
    return longer


def warn_of_unplanned(planned: Sequence[PlannedRun], folder: Path) -> None:
    """Warns of finished runs in the folder that the recipe no longer has, which are in no table from now on."""
    expected = {own.folder for run in planned for own in (run, replace(run, repeats=None))}
    found = sorted(path.relative_to(folder) for path in folder.glob("runs/*/seed-*"))
    left = [path for path in found if path.as_posix() not in expected and RunFolder(folder / path).finished]
    if left:
        named = few([f"{path.parent.name} {path.name.replace('-', ' ')}" for path in left])
        warnings.warn(
            f"finished runs in {str(folder)!r} will be in no table or report, as the recipe no longer has their arms, "
            f"budgets or seeds: {named}. They stay where they are; name what is missing under `compare` again, and "
            "--resume, to have them back.",
            stacklevel=3,
        )


def go_on_longer(longer: Sequence[PlannedRun], run_folder: RunFolder, progress: Progress) -> None:
    """Turns all these runs into beginnings of longer ones before any continues; keeps the results so far."""
    if not longer:
        return
    _keep_results(run_folder)
    progress.say(f"{len(longer)} runs go on for longer than they were begun for")
    remarks: list[str] = []
    for run in longer:
        described = run.recipe.model_dump(mode="json", exclude={"compare"})
        extend = extending(run.recipe, remarks.append)
        with RunFolder.open(
            run_folder.path / run.folder, described, resume=True, renew=renewing(described), extend=extend
        ) as opened:
            opened.carry_out_extension()
            opened.set_state("interrupted")
    for remark in remarks[:1]:  # all are alike
        progress.say(remark)


def _keep_results(run_folder: RunFolder) -> None:
    """Moves results, tables and pages of a comparison whose runs are extended into a folder of their own."""
    numbers = itertools.count(1)
    places = (run_folder.path / f"before-extension-{number}" for number in numbers)
    files = [path for name in _FOUND if (path := run_folder.path / name).exists()]
    if (run_folder.path / "results.json").exists():
        with atomic_folder(next(place for place in places if not place.exists())) as kept:
            for path in files:
                shutil.move(path, kept / path.name)


def _changed(planned: PlannedRun, run_folder: RunFolder, *, but: str = "") -> list[Difference]:
    """Where a run's recipe differs from the one in its folder; empty if its state is `but`."""
    if not run_folder.begun or run_folder.state == but:
        return []
    described = planned.recipe.model_dump(mode="json", exclude={"compare"})
    return run_folder.differences(described, renewing(described))


def make_room(planned: PlannedRun, run_folder: RunFolder) -> None:
    """Puts a failed run aside if its recipe was changed since."""
    if run_folder.state == "failed" and _changed(planned, run_folder):
        numbers = itertools.count(1)
        names = (run_folder.path.with_name(f"{run_folder.path.name}-failed-{number}") for number in numbers)
        run_folder.path.rename(next(name for name in names if not name.exists()))
