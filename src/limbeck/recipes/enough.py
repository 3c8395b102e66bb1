"""A comparison's answer to how little data is enough: the images each arm needs to come near the full data."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from limbeck.evaluation.frontier import ImagesNeeded, at_images, images_needed
from limbeck.evaluation.statistics import CONFIDENCE, corrected, paired_difference, paired_values, seeds_needed
from limbeck.recipes.controls import FULL, FULL_NO_TEACHER

Row = dict[str, Any]
Curve = dict[int, dict[int, float]]
COSTS = ("teacher_passes", "seconds", "energy_kwh")
TEACHER = "teacher"
_OF_ALL = (FULL, FULL_NO_TEACHER)
_STEPS = 40


def enough(
    runs: Sequence[Row],
    table: Sequence[Row],
    margin: float,
    teacher: float | None,
    *,
    resolution: float | None = None,
) -> Row | None:
    """How many images are enough for each arm with budgets, and which arm needs the fewest.

    The reference is the student trained on all images with a teacher; if the only images are those that makers make, it
    is the teacher itself, whose accuracy has no seed noise.

    Args:
        runs: rows of the results; those that finished count.
        table: rows of the results, for the costs of the arms.
        margin: in accuracy.
        teacher: its accuracy.
        resolution: the step of accuracies, 1 / test images, see `paired_difference`; None if it is unknown.

    Returns:
        None without budgets, or before there is a reference. Otherwise `margin`, `confidence`, the `reference` (name,
        mean, images, n), `arms`: for each its `ImagesNeeded` with whole images and `costs` at `images`, `low` and
        `high`; `fewest`: the arm that needs the fewest images, compared (`against`) with every other at the number of
        images where it comes within the margin, corrected as the best of all pairs of arms; and `by_margin`: the images
        needed for other margins.
    """
    finished = [row for row in runs if row["state"] == "finished" and row["last"] is not None]
    curves = _curves(finished)
    reference = _reference(runs, finished, teacher)
    if not curves or reference is None:
        return None
    described, values = reference
    costs = _costs(table)
    rows = []
    for arm, (control, curve) in curves.items():
        needed = images_needed(curve, values, margin, resolution=resolution)
        if needed is not None:
            row = {"arm": arm, "control": control, **_whole(needed)}
            rows.append({**row, "costs": {end: _cost_at(costs[arm], row[end]) for end in ("images", "low", "high")}})
    if not rows:
        return None
    arm_curves = {row["arm"]: curves[row["arm"]][1] for row in rows}
    return {
        "margin": margin,
        "confidence": CONFIDENCE,
        "reference": described,
        "arms": rows,
        "fewest": _fewest(rows, arm_curves, resolution),
        "by_margin": _by_margin(arm_curves, values, margin, resolution),
    }


def mean_images(rows: Sequence[Row]) -> int:
    """Images of one arm at one budget: the mean over seeds, as sets that grow may have another size for each."""
    return round(_mean(row["images"] for row in rows))


def _curves(finished: Iterable[Row]) -> dict[str, tuple[bool, Curve]]:
    """Arm -> whether it is a control, and its accuracy by number of images and seed.

    A budget may yield different numbers of images for different seeds, as of sets that grow: then their mean counts.
    Budgets that yield the same number are merged.
    """
    budgets: dict[tuple[str, str], list[Row]] = {}
    for row in finished:
        if row["arm"] not in _OF_ALL and row["images"]:
            budgets.setdefault((row["arm"], row["budget"]), []).append(row)
    accuracies: dict[str, tuple[bool, dict[int, dict[int, list[float]]]]] = {}
    for (arm, _), rows in budgets.items():
        images = mean_images(rows)
        seeds = accuracies.setdefault(arm, (rows[0]["control"], {}))[1].setdefault(images, {})
        for row in rows:
            seeds.setdefault(row["seed"], []).append(row["last"])
    return {
        arm: (control, {images: {seed: _mean(top1) for seed, top1 in seeds.items()} for images, seeds in curve.items()})
        for arm, (control, curve) in accuracies.items()
    }


def _reference(
    runs: Iterable[Row], finished: Iterable[Row], teacher: float | None
) -> tuple[Row, Mapping[int, float] | float] | None:
    """A description of the reference and its accuracy, by seed if it has seeds."""
    if any(row["arm"] == FULL for row in runs):
        rows = [row for row in finished if row["arm"] == FULL]
        values = {row["seed"]: row["last"] for row in rows}
        if not values:
            return None
        described = {"name": FULL, "mean": _mean(values.values()), "images": rows[0]["images"], "n": len(values)}
        return described, values
    return None if teacher is None else ({"name": TEACHER, "mean": teacher, "images": None, "n": None}, teacher)


def _mean(values: Iterable[float]) -> float:
    numbers = list(values)
    return math.fsum(numbers) / len(numbers)


def _whole(found: ImagesNeeded) -> Row:
    """Images as whole numbers, rounded so that neither the images nor the interval come out too small."""
    row: Row = {**found}
    for key in ("least", "most", "images", "low", "high"):
        value = row[key]
        if value is not None:
            # A budget is a whole number already, up to rounding errors of its logarithm.
            near = abs(value - round(value)) < 1e-6 * value
            row[key] = round(value) if near else math.floor(value) if key == "low" else math.ceil(value)
    return row


def _costs(table: Iterable[Row]) -> dict[str, dict[str, Curve]]:
    """Arm -> cost -> images -> mean per run."""
    by_arm: dict[str, dict[str, Curve]] = {}
    for row in table:
        if row["arm"] not in _OF_ALL:
            curves = by_arm.setdefault(row["arm"], {cost: {} for cost in COSTS})
            for cost in COSTS:
                curves[cost][row["images"]] = {0: row[cost]}
    return by_arm


def _cost_at(costs: Mapping[str, Curve], images: int | None) -> Row | None:
    """The costs interpolated at `images`; None if that is None."""
    if images is None:
        return None
    return {cost: at_images(curve, images).get(0) for cost, curve in costs.items()}


def _fewest(rows: Sequence[Row], curves: Mapping[str, Curve], resolution: float | None) -> Row | None:
    """The arm that needs the fewest images, and by how much every other arm with as many images is below it.

    Between budgets, accuracies are means of two rounded ones: what rounding hides is then at most that of one. Arms for
    which the same smallest budget is already enough are not compared: it is unknown which needs fewer.
    """

    def rank(row: Row) -> tuple[int, float]:
        return row["images"], -_mean(at_images(curves[row["arm"]], row["images"]).values())

    reached = [row for row in rows if row["images"] is not None]
    if not reached:
        return None
    best = min(reached, key=rank)
    own, against = at_images(curves[best["arm"]], best["images"]), []
    tests = len(rows) * (len(rows) - 1) // 2  # any pair might have been tested: which arm is best was not known before
    for row in rows:
        arm, other = row["arm"], at_images(curves[row["arm"]], best["images"])
        tied = row["at_most"] and row["images"] == best["images"]
        if arm != best["arm"] and not tied and own.keys() & other.keys():
            needed = seeds_needed(paired_values(own, other), tests=tests, resolution=resolution)
            difference = paired_difference(own, other, resolution=resolution)
            against.append({"arm": arm, **difference, "seeds_needed": needed})
    against = [{**row, "seeds_needed": None} if row["beyond_noise"] else row for row in corrected(against, tests)]
    return {"arm": best["arm"], "images": best["images"], "tests": tests, "against": against}


def _by_margin(
    curves: Mapping[str, Curve], reference: Mapping[int, float] | float, margin: float, resolution: float | None
) -> list[Row]:
    """The images needed for margins from 0 up to the deficit of the worst arm at its smallest budget.

    The largest of them is at least two and at most ten times `margin`.
    """
    level = _mean(reference.values()) if isinstance(reference, Mapping) else reference
    deficits = sorted(level - _mean(curve[min(curve)].values()) for curve in curves.values())
    largest = max(2 * margin, min(deficits[-1], 10 * margin or 1.0))
    rows = []
    for arm, curve in curves.items():
        for step in range(_STEPS + 1) if largest > 0 else ():
            allowed = largest * step / _STEPS
            needed = images_needed(curve, reference, allowed, resolution=resolution)
            if needed is not None:
                row = _whole(needed)
                rows.append({"arm": arm, "margin": allowed, **{key: row[key] for key in ("images", "low", "high")}})
    return rows
