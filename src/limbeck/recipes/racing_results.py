"""Results of a race, for those of a comparison: which arms stopped where, why, and what that saved."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from limbeck.cost import Cost, RunCost, mean_cost
from limbeck.recipes.plan import PlannedRun
from limbeck.recipes.racing import RACING_FILE, Group
from limbeck.recipes.rungs import raced
from limbeck.recipes.schema import Recipe
from limbeck.training.run_folder import PAUSED, RunFolder

DROPPED = "dropped"
"""State, in the results, of a run that was not continued because its arm stopped."""
_BROKEN = ("failed", "finished")


def read_race(folder: Path, recipe: Recipe) -> dict[str, Any]:
    """The decisions in a comparison so far; empty if its recipe lets no arm stop (any more)."""
    racing = None if recipe.compare is None else recipe.compare.racing
    return RunFolder(folder).read(RACING_FILE, {}) if racing is not None else {}


def dropped_runs(folder: Path, planned: Iterable[PlannedRun], race: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Folder -> `step` of `steps` that it reached, and `why`, for runs that were not continued."""
    why: dict[Group, dict[str, Any]] = {(row["arm"], row["at"]): row["why"] for row in race.get("dropped", ())}
    dropped = {}
    for run in raced(planned):
        status = RunFolder(folder / run.folder).read("status.json", {})
        if (run.arm, run.budget_label) in why and status.get("state") not in _BROKEN:
            position = {"step": status.get("step", 0), "steps": status.get("steps")}
            dropped[run.folder] = {**position, "why": why[run.arm, run.budget_label]}
    return dropped


def race_results(
    folder: Path, recipe: Recipe, planned: Sequence[PlannedRun], race: dict[str, Any], dropped: dict[str, Any]
) -> dict[str, Any] | None:
    """Results of a race; None for a comparison without one.

    Returns:
        `settings`; `rungs` in words; `standings` of the arms at each; `dropped`, one row per arm and budget with its
        `runs`; `spent` on all runs of these arms; `saved` by stopping, estimated from the cost of their steps so far,
        or else from other runs of the arm; `share`, the saved part of the steps of all runs, including controls.
    """
    racing = None if recipe.compare is None else recipe.compare.racing
    if racing is None:
        return None
    stopped = {(run.arm, run.budget_label) for run in planned if run.folder in dropped}
    spent, saved, steps = Cost(), Cost(), 0
    for run in planned:
        taken, _ = _taken(RunFolder(folder / run.folder))
        steps += taken.steps
        if (run.arm, run.budget_label) in stopped:
            spent += taken  # including its finished seeds, which are in no table of costs
        if run.folder in dropped:
            saved += _left(folder, run, planned)
    rows = []
    for row in race.get("dropped", ()):
        group = (row["arm"], row["at"])
        runs = sum(run.folder in dropped for run in planned if (run.arm, run.budget_label) == group)
        rows += [{**row["why"], "arm": row["arm"], "budget": row["at"], "runs": runs}] if runs else []
    return {
        "settings": racing.model_dump(mode="json"),
        "rungs": race.get("rungs", []),
        "standings": race.get("standings", []),
        "dropped": rows,
        "spent": spent.to_dict(),
        "saved": saved.to_dict(),
        "share": saved.steps / (steps + saved.steps) if saved.steps else 0.0,
    }


def _taken(run_folder: RunFolder) -> tuple[Cost, int]:
    """The cost of a run so far, and its total number of steps; zero for one that did not pause or finish."""
    if run_folder.finished:
        cost = RunCost.from_dict(run_folder.read("cost.json"))
        return Cost.from_dict({**cost.total.to_dict(), "steps": cost.teaching.steps}), cost.teaching.steps
    if run_folder.state == PAUSED:
        status = run_folder.read("status.json")
        return Cost.from_dict({**status["cost"], "steps": status["step"]}), status["steps"]
    return Cost(), 0


def _left(folder: Path, run: PlannedRun, planned: Iterable[PlannedRun]) -> Cost:
    """The estimated cost of the rest of a run."""
    cost, steps = _taken(RunFolder(folder / run.folder))
    if cost.steps:
        return _times(cost, (steps - cost.steps) / cost.steps)
    same_arm = [other for other in planned if other.arm == run.arm]
    for runs in ([other for other in same_arm if other.budget == run.budget], same_arm):
        whole_costs = [
            _times(taken, total / taken.steps)
            for taken, total in (_taken(RunFolder(folder / other.folder)) for other in runs)
            if total
        ]
        if whole_costs:
            return mean_cost(whole_costs)
    return Cost()


def _times(cost: Cost, factor: float) -> Cost:
    numbers = {name: value * factor for name, value in cost.to_dict().items() if name != "measured"}
    rounded = {name: value if name in ("seconds", "kwh") else round(value) for name, value in numbers.items()}
    return Cost(**rounded, measured=cost.measured)
