"""Reads what a run or a comparison left in its folder; a part that is absent is None, a broken one is a `UserError`."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from limbeck.errors import UserError
from limbeck.files import atomic_write_text
from limbeck.report import formats
from limbeck.report.controls import CONTROL_KEYS, Controls

RESULT_KEYS = {
    "runs": ("arm", "control", "budget", "images", "seed", "state"),
    "table": ("arm", "control", "budget", "images", "n", "mean", "half_width"),
    "differences": ("arm", "against", "budget", "images", "n", "mean", "low", "high", "beyond_noise"),
}

MOST_ARMS = 8


def without_budgets(results: dict[str, Any]) -> bool:
    """Whether a comparison is between arms that all learn from all the images."""
    return all(not formats.at(run["budget"]) for run in results["runs"])


def at_one_budget(results: dict[str, Any]) -> bool:
    """Whether all arms, but for those that learn from all the images, have the same number of them."""
    full = Controls.of(results).full
    return len({run["budget"] for run in results["runs"] if run["arm"] not in full}) == 1


def many_arms(results: dict[str, Any]) -> bool:
    """Whether there are more arms than a legend can tell apart, or than a reader would read one by one."""
    return len({run["arm"] for run in results["runs"] if not run["control"]}) > MOST_ARMS


def json_file(path: Path, mend: str) -> Any:
    """The content of a JSON file, None if there is none.

    Args:
        path: the file.
        mend: what to do about a broken one, as a sentence.
    """
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}). {mend}") from error


def text_file(path: Path) -> str | None:
    return path.read_text("utf-8", errors="replace") if path.is_file() else None


def results(folder: Path) -> dict[str, Any]:
    """results.json of a comparison folder, checked for the parts that every page needs."""
    path = folder / "results.json"
    mend = f"`limbeck compare {folder / 'recipe.yaml'}` makes it again; finished runs are not repeated."
    content = json_file(path, mend)
    if content is None:
        raise UserError(f"{path} is missing, so there is no comparison to report. {mend}")
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold an object, got {type(content).__name__}. {mend}")
    for part, keys in RESULT_KEYS.items():
        rows = content.setdefault(part, [])
        if not isinstance(rows, list) or not all(isinstance(row, dict) and row.keys() >= set(keys) for row in rows):
            raise UserError(f"{path}: every entry of `{part}` must have {', '.join(keys)}. {mend}")
    listed = content.get("controls") or []
    if not all(isinstance(row, dict) and row.keys() >= set(CONTROL_KEYS) for row in listed):
        raise UserError(f"{path}: every entry of `controls` must have {', '.join(CONTROL_KEYS)}. {mend}")
    return {**content, "runs": with_images(content["runs"])}


def write_results(folder: Path, content: dict[str, Any]) -> None:
    """Write results.json."""
    atomic_write_text(folder / "results.json", json.dumps(content, indent=1) + "\n")


def with_images(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Fills in the number of images of runs that never finished, from others of their arm, or else of their budget."""
    of_budget = {run["budget"]: run["images"] for run in runs if run["images"]}
    of_arm = {(run["arm"], run["budget"]): run["images"] for run in runs if run["images"]}
    return [
        run
        if run["images"] is not None
        else {**run, "images": of_arm.get((run["arm"], run["budget"]), of_budget.get(run["budget"], 0))}
        for run in runs
    ]


def compared_runs(results: dict[str, Any]) -> list[dict[str, Any]]:
    """The runs of arms that are in the table of their budget: no run of an arm that stopped early, even if finished."""
    shown = {(row["arm"], row["budget"]) for row in results["table"]}
    return [run for run in results["runs"] if (run["arm"], run["budget"]) in shown]


def fidelity(evaluation: dict[str, Any], measure: str) -> float | None:
    """A measure of an evaluation's fidelity to the teacher; None without a teacher."""
    return (evaluation.get("fidelity") or {}).get(measure)


def metrics(path: Path) -> list[dict[str, Any]]:
    """The records of metrics.jsonl by kind and step.

    A killed run may leave half a line, and a resumed one logs some steps again: broken lines are skipped and the last
    record of a (kind, step) counts.
    """
    records: dict[tuple[str, int], dict[str, Any]] = {}
    for line in (text_file(path) or "").splitlines():
        try:
            record = json.loads(line)
            records[record["kind"], record["step"]] = record
        except (ValueError, KeyError, TypeError):
            continue
    return sorted(records.values(), key=lambda record: record["step"])


def thin(rows: list[dict[str, Any]], limit: int = 160) -> list[dict[str, Any]]:
    """At most `limit` rows, evenly spread, first and last among them."""
    if len(rows) <= limit:
        return rows
    return [rows[round(i * (len(rows) - 1) / (limit - 1))] for i in range(limit)]


def flat(tree: Any, prefix: str = "") -> Iterable[tuple[str, str]]:
    """A nested dict as (dotted name, value) pairs."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from flat(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, ", ".join(map(str, tree)) if isinstance(tree, list) else str(tree)
