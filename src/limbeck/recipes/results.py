"""From the run folders of a comparison to its table: means, intervals, and differences beyond seed noise."""

import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from limbeck.cost import RunCost, mean_cost
from limbeck.errors import UserError
from limbeck.evaluation.statistics import (
    corrected,
    mean_interval,
    paired_difference,
    paired_values,
    seeds_needed,
    standard_deviation,
)
from limbeck.recipes.computed_on import unlike_computing
from limbeck.recipes.controls import FULL, FULL_NO_TEACHER, NO_TEACHER, described, set_against
from limbeck.recipes.enough import enough, mean_images
from limbeck.recipes.passes import compared_passes
from limbeck.recipes.plan import FULL_LABEL, PlannedRun, controls_of, plan, students_of, transfers_of
from limbeck.recipes.racing_results import DROPPED, dropped_runs, race_results, read_race
from limbeck.recipes.reading import written_recipe
from limbeck.recipes.schema import CompareSettings, Recipe
from limbeck.training.run_folder import RunFolder
from limbeck.training.settings import TrainingSettings

RESULTS = "results.json"
SUITED = "suited"
"""Key of networks.json: whether arms are compared with controls that suit them; absent in earlier versions."""
UNLABELLED = (
    "The training images have no labels, so the controls that need them are left out: balanced random images, and "
    "students without a teacher."
)
AGREEMENT = (
    "The validation images have no labels that are used: states of a run are chosen by agreement with the teacher, and "
    "none of students that learn without it."
)
WITHOUT_IMAGES = (
    "There are no training images, so the controls that learn from them are left out: the full data, and students "
    "without a teacher."
)


def collect(folder: str | Path, recipe: Recipe, planned: Sequence[PlannedRun] | None = None) -> dict[str, Any]:
    """The results of a comparison as far as its runs have finished.

    Args:
        folder: of the comparison.
        recipe: of the comparison.
        planned: its runs, if the caller has planned them for the actual images.

    Returns:
        `runs`: one row per planned run; `table`: per arm and budget n, mean, 95 % half-width and standard deviation
        of the accuracy after the last step, the same of the validation-chosen one, mean costs; `differences`: every arm
        against the baseline, the controls of its budget and all the data, paired over seeds and corrected for as many
        arms as are compared with the same at the same budget; `enough`: how little data is enough (see `enough`);
        `against`: with which control each arm is compared for its verdicts, and why (see `Against`); `unlike`: arms and
        controls whose `steps` or `student` are not the comparison's; `passes`: teacher passes of arms that make images
        with the teacher, and of their controls (see `compared_passes`); `racing`: which arms stopped early (see
        `race_results`); and teacher, student and numbers of images, which are means where seeds have other numbers. An
        arm that stopped before all its seeds were run is only in `runs` and `racing`.
    """
    folder = Path(folder)
    networks = json.loads((folder / "networks.json").read_text())
    labelled = networks.get("labelled", True)
    suited = networks.get(SUITED, False)
    if planned is None:
        images, classes = networks["train_images"], networks.get("train_classes")
        planned = plan(recipe, images, classes, labelled=labelled, suited=suited)
    race = read_race(folder, recipe)
    own = [run for run in planned if run.repeats is None]
    dropped = dropped_runs(folder, own, race)
    runs = [_run_row(folder, run, dropped.get(run.folder)) for run in planned]
    stopped = {(row["arm"], row["budget"]) for row in runs if row["state"] == DROPPED}
    unstopped = [row for row in runs if (row["arm"], row["budget"]) not in stopped]
    resolution = 1 / networks["test_images"] if networks.get("test_images") else None
    table = [_table_row(rows, resolution) for rows in _grouped(unstopped)]
    against = _against(recipe.compare, runs) if suited else []
    return {
        "name": recipe.name,
        "created": datetime.now(UTC).isoformat("T", "seconds"),
        "metric": "top1",
        "baseline": None if recipe.compare is None else recipe.compare.baseline,
        "controls": _controls(recipe.compare, runs, suited=suited),
        **({"against": against} if suited else {}),
        "unlike": _unlike(recipe, planned),
        "passes": _passes(recipe.compare, table, against),
        **networks,
        "runs": runs,
        "table": table,
        "differences": _differences(unstopped, recipe, against, resolution),
        "enough": _enough(unstopped, table, recipe.compare, networks, resolution),
        "racing": race_results(folder, recipe, own, race, dropped),
        "notes": [
            *_notes(recipe, planned),
            *left_out(has_images=networks["train_images"] is not None, labelled=labelled),
            *([AGREEMENT] if networks.get("validation_measure") == "agreement" else []),
            *unlike_computing(folder, planned),
        ],
    }


def current_results(folder: Path) -> dict[str, Any]:
    """The results of the comparison in `folder`, collected anew; as last written if its recipe cannot be read here.

    A recipe may name parts of the user's own, which a report of their results does not need.

    Raises:
        UserError: the recipe cannot be read, and there are no written results.
    """
    try:
        recipe = written_recipe(folder)
    except UserError as error:
        written = RunFolder(folder).read(RESULTS)
        if not isinstance(written, dict):
            raise UserError(
                f"{error}\nNor are there results of a finished run in {str(folder / RESULTS)!r} to report of."
            ) from error
        if not RunFolder(folder).finished:
            warnings.warn(
                f"the recipe of {str(folder)!r}, which has not finished, cannot be read here, so this report is of its "
                f"results as they were written at {written.get('created', 'an unknown time')}. {error}",
                stacklevel=2,
            )
        return written
    return collect(folder, recipe)


def left_out(*, has_images: bool, labelled: bool) -> list[str]:
    """Sentences on the controls that a comparison lacks without training images, or without their labels."""
    return [WITHOUT_IMAGES] if not has_images else [] if labelled else [UNLABELLED]


def _controls(compare: CompareSettings | None, runs: Sequence[dict[str, Any]], *, suited: bool) -> list[dict[str, Any]]:
    """The controls that this comparison has; see `described`."""
    assert compare is not None, "results are of comparisons"
    present = {row["arm"] for row in runs if row["control"]}
    controls, budgets = controls_of(compare), compare.budgets is not None
    students = students_of(compare, controls, suited=suited) if budgets else []
    return [row for row in described(controls, students, budgets=budgets) if row["name"] in present]


def _against(compare: CompareSettings | None, runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """With which of the existing controls each arm is compared for its verdicts, see `Against`."""
    assert compare is not None, "results are of comparisons"
    present = {row["arm"] for row in runs if row["control"]}
    controls = [control for control in controls_of(compare) if control.name in present]
    repeating = {row["arm"] for row in runs if row["repeats"] is not None}
    arms = {name: transfer for name, transfer in transfers_of(compare).items() if name not in repeating}
    parts = ("objective", "student", "training")
    changes = {name: [part for part in parts if getattr(arm, part)] for name, arm in compare.arms.items()}
    rows = [row._asdict() for row in set_against(arms, controls, changes)]
    return [row if row["student"] in present else {**row, "student": None} for row in rows]


def _passes(
    compare: CompareSettings | None, table: Sequence[dict[str, Any]], against: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    assert compare is not None, "results are of comparisons"
    return compared_passes(transfers_of(compare), controls_of(compare), table, against)


def _enough(
    runs: Sequence[dict[str, Any]],
    table: Sequence[dict[str, Any]],
    compare: CompareSettings | None,
    networks: Mapping[str, Any],
    resolution: float | None,
) -> dict[str, Any] | None:
    if compare is None or compare.budgets is None:
        return None
    teacher = (networks.get("teacher") or {}).get("evaluation") or {}
    result = enough(runs, table, compare.margin, teacher.get("top1"), resolution=resolution)
    others = [name for name, arm in compare.arms.items() if arm.student is not None]
    return result if result is None or not others else {**result, "other_students": others}


def _run_row(folder: Path, planned: PlannedRun, dropped: dict[str, Any] | None) -> dict[str, Any]:
    run_folder = RunFolder(folder / planned.folder)
    status = run_folder.read("status.json", {"state": "missing", "error": None})
    cost = run_folder.read("cost.json") if run_folder.finished else None
    if cost is not None and _is_short(cost, planned):
        status, cost = {"state": "interrupted", "error": None}, None  # it is yet to be extended
    evaluated = run_folder.read("evaluation.json", {}) if cost is not None else {}
    last, chosen = evaluated.get("last"), evaluated.get("chosen")
    return {
        "arm": planned.arm,
        "control": planned.control,
        "repeats": planned.repeats,
        "budget": planned.budget_label,
        "images": cost["images"] if cost else None,
        "seed": planned.recipe.seed,
        "state": status["state"] if dropped is None else DROPPED,
        "dropped": dropped,
        "error": status["error"],
        "folder": planned.folder,
        "last": last["top1"] if last else None,
        "chosen": chosen["top1"] if chosen else None,
        "cost": cost,
    }


def _is_short(cost: Mapping[str, Any], planned: PlannedRun) -> bool:
    """Whether a finished run took fewer steps than planned; earlier versions may not have counted them."""
    steps = RunCost.from_dict(cost).teaching.steps
    return 0 < steps < planned.recipe.training.total_steps(cost["images"])


def _grouped(runs: Iterable[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Finished runs by arm and budget, in the order of the plan."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in runs:
        if row["last"] is not None:
            groups.setdefault((row["budget"], row["arm"]), []).append(row)
    by_budget = sorted(groups.values(), key=mean_images)
    return [rows for _, same in groupby(by_budget, key=lambda rows: rows[0]["budget"]) for rows in same]


def _table_row(rows: Sequence[dict[str, Any]], resolution: float | None) -> dict[str, Any]:
    first = rows[0]
    last = [row["last"] for row in rows]
    mean, half_width = mean_interval(last, resolution=resolution)
    chosen = [row["chosen"] for row in rows if row["chosen"] is not None]
    chosen_mean, chosen_half_width = mean_interval(chosen, resolution=resolution) if chosen else (None, None)
    costs = [RunCost.from_dict(row["cost"]) for row in rows]
    real = [cost.real_images for cost in costs if cost.real_images is not None]
    counted = [cost.making for cost in costs if cost.making is not None]
    making = mean_cost(counted) if len(counted) == len(costs) else None  # missing in runs of earlier versions
    teaching = mean_cost([cost.teaching for cost in costs])
    total = teaching if making is None else making + teaching
    return {
        **{key: first[key] for key in ("arm", "control", "repeats", "budget")},
        "images": mean_images(rows),
        "real_images": round(sum(real) / len(real)) if len(real) == len(costs) else None,
        "n": len(rows),
        "mean": mean,
        "half_width": half_width,
        "std": standard_deviation(last),
        "chosen_mean": chosen_mean,
        "chosen_half_width": chosen_half_width,
        "teacher_passes": total.teacher_passes,
        "teacher_passes_saved": total.passes_saved,
        "seconds": total.seconds,
        "energy_kwh": total.kwh,
        "energy_kind": "measured" if total.measured else "estimated",
        "making": None if making is None else making.to_dict(),
        "teaching": teaching.to_dict(),
    }


def _differences(
    runs: Sequence[dict[str, Any]], recipe: Recipe, against: Sequence[dict[str, Any]], resolution: float | None
) -> list[dict[str, Any]]:
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in runs:
        if row["last"] is not None:
            groups.setdefault((row["arm"], row["budget"]), []).append(row)
    by_seed = {place: {row["seed"]: row["last"] for row in rows} for place, rows in groups.items()}
    images = {place: mean_images(rows) for place, rows in groups.items()}
    differences: list[tuple[dict[str, Any], list[float]]] = []
    for (arm, budget), values in by_seed.items():
        if groups[arm, budget][0]["control"] or groups[arm, budget][0]["repeats"] is not None:
            continue
        for other in _opponents(arm, budget, recipe, {row["arm"]: row for row in against}):
            opposing = by_seed.get(other, {})
            if values.keys() & opposing.keys():
                entry = {"arm": arm, "against": other[0], "budget": budget, "images": images[arm, budget]}
                if other[1] == budget and images[other] != entry["images"]:  # as when classes have too few images
                    entry["images_against"] = images[other]
                difference = paired_difference(values, opposing, resolution=resolution)
                differences.append(({**entry, **difference}, paired_values(values, opposing)))
    return _corrected(differences, resolution)


def _corrected(
    differences: Sequence[tuple[dict[str, Any], list[float]]], resolution: float | None
) -> list[dict[str, Any]]:
    """Rows corrected for as many arms as are compared with the same at the same budget.

    Each is given with its differences seed by seed; rows that are within noise get the number of seeds needed.
    """
    rows = [row for row, _ in differences]
    families: dict[tuple[str, str], list[int]] = {}
    for index, row in enumerate(rows):
        families.setdefault((row["against"], row["budget"]), []).append(index)
    for indices in families.values():
        for index, row in zip(indices, corrected([rows[index] for index in indices]), strict=True):
            needed = None
            if not row["beyond_noise"]:
                needed = seeds_needed(differences[index][1], tests=row["tests"], resolution=resolution)
            rows[index] = {**row, "seeds_needed": needed}
    return rows


def _opponents(arm: str, budget: str, recipe: Recipe, against: Mapping[str, dict[str, Any]]) -> list[tuple[str, str]]:
    """(arm, budget) of all that an arm is compared with: the baseline, the controls of its maker, and all the data.

    An arm that has the same images as its control is compared with no other images.
    """
    assert recipe.compare is not None
    baseline = recipe.compare.baseline
    named = [(baseline, budget)] if baseline not in (None, arm) else []
    if recipe.compare.budgets is None:
        return [*named, (FULL_NO_TEACHER, FULL_LABEL)]
    verdict = against.get(arm, {"control": None, "student": NO_TEACHER, "same_images": False})
    controls = [control.name for control in controls_of(recipe.compare) if arm in control.arms]
    if verdict["same_images"]:
        controls = [verdict["control"]]
    students = [] if verdict["student"] is None else [verdict["student"]]
    return [*named, *((control, budget) for control in (*controls, *students)), (FULL, FULL_LABEL)]


def _notes(recipe: Recipe, planned: Sequence[PlannedRun]) -> list[str]:
    assert recipe.compare is not None
    seeds = len(recipe.compare.seeds)
    paired = f"{seeds} seed{'s' if seeds > 1 else ''} shared by all arms; differences are paired over them."
    return [_length(recipe, planned), paired]


def _length(recipe: Recipe, planned: Sequence[PlannedRun]) -> str:
    """A sentence on the length of training, and on arms, including controls, with another length at any budget."""
    training, budgets = recipe.training, recipe.compare is not None and recipe.compare.budgets is not None
    apart = _unlike(recipe, planned)["steps"]
    if len(apart) == len({run.arm for run in planned}):
        return "Every arm learns for as long as its own settings say; see the recipe."
    every = f"Every run but those of {', '.join(apart)}" if apart else "Every run"
    if training.steps is None:
        images = "its own transfer set, so small sets cost less" if budgets else "the training images"
        return f"{every} takes {training.epochs:g} epochs of {images}."
    whatever = ", whatever its budget" if budgets else ""
    return f"{every} takes {training.steps:,} steps of {training.batch_size} images{whatever}."


def _unlike(recipe: Recipe, planned: Sequence[PlannedRun]) -> dict[str, list[str]]:
    """The arms, controls too, whose `steps` or `student` are not those of the recipe at some budget."""
    usual = _steps_of(recipe.training)
    steps = (run.arm for run in planned if _steps_of(run.recipe.training) != usual)
    student = (run.arm for run in planned if run.recipe.student != recipe.student)
    return {"steps": list(dict.fromkeys(steps)), "student": list(dict.fromkeys(student))}


def _steps_of(training: TrainingSettings) -> tuple[int | None, float | None, int]:
    return training.steps, training.epochs, training.batch_size
