"""`limbeck ls`: what there is, without importing torch."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from limbeck.cli.display import console, percent, show_table
from limbeck.errors import unknown_name


def list_datasets() -> None:
    from limbeck.data.catalogue import DATASETS

    rows = [
        [
            name,
            info.hub_id or "scikit-learn",
            str(info.num_classes),
            f"{info.size[0]}x{info.size[1]}",
            ", ".join(split + (f" {where.images:,}" if where.images else "") for split, where in info.splits.items()),
        ]
        for name, info in DATASETS.items()
        if ":" not in name
    ]
    show_table("data sets", ["name", "hub id", "classes", "pixels", "splits"], rows, numbers=(2, 3))
    console.print("\nparts of them, some classes each", style="bold")
    console.print(", ".join(name for name in DATASETS if ":" in name))


def list_models() -> None:
    from limbeck.models.catalogue import MODELS
    from limbeck.models.named import NAMED

    rows = [
        [name, f"{entry.parameters:,}" if entry.parameters else "", entry.summary, ", ".join(entry.options)]
        for name, entry in MODELS.items()
    ]
    rows.append(["timm:<name>", "", "any network of timm", "pretrained, ..."])
    show_table("models", ["name", "parameters", "", "options"], rows, numbers=(1,))
    console.print()
    rows = [[name, one.model, f"{100 * one.top1:.2f}"] for name, one in NAMED.items()]
    show_table("named weights", ["name", "model", "top-1 %"], rows, numbers=(2,))


def list_objectives() -> None:
    from limbeck.objectives.catalogue import OBJECTIVES

    rows = [
        [
            name,
            ", ".join(f"{key}={_shown(value)}" for key, value in entry.options.items()),
            entry.summary,
            f"{entry.paper} ({entry.year})",
        ]
        for name, entry in OBJECTIVES.items()
    ]
    show_table("objectives", ["name", "options", "learns from", "source"], rows)


def _shown(value: float | bool | str) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def list_views() -> None:
    from limbeck.data.view_catalogue import VIEWS

    rows = [[name, entry.distinct, ", ".join(entry.options), entry.summary] for name, entry in VIEWS.items()]
    show_table("views", ["name", "distinct views", "options", ""], rows)


def list_criteria() -> None:
    from limbeck.transfer.select.catalogue import CRITERIA
    from limbeck.transfer.select.parts import ALLOCATIONS, ORDERS, REPRESENTATIONS, SCORES

    rows = [[name, one.representation, one.score, one.allocation, one.order] for name, one in CRITERIA.items()]
    show_table("selection criteria", ["name", "representation", "score", "allocation", "order"], rows)
    console.print("\nor parts of your own, joined by slashes: hrgb/kmpc/ls\n", style="bold")
    for title, family in (("representations", REPRESENTATIONS), ("allocations", ALLOCATIONS)):
        rows = [[name, one.short, ", ".join(one.options), one.summary] for name, one in family.items()]
        show_table(title, ["name", "short", "options", ""], rows)
        console.print()
    rows = [[name, ", ".join(one.options), one.summary] for name, one in SCORES.items()]
    show_table("scores", ["name", "options", ""], rows)
    console.print("\norders: " + ", ".join(f"{name} ({short})" for name, short in ORDERS.items()))


def list_recipes() -> None:
    from limbeck.recipes.packaged import packaged_recipes, summary

    show_table("recipes", ["name", ""], [[name, summary(path)] for name, path in packaged_recipes().items()])


def list_runs() -> None:
    """Runs and comparisons in this folder and below runs/, those inside a comparison left out."""
    found = [status.parent for pattern in _RUNS for status in sorted(Path().glob(pattern))]
    folders = [folder for folder in found if not any((above / "status.json").exists() for above in folder.parents)]
    if folders:
        show_table("runs here and below runs/", ["folder", "", "state", "top-1 %", "since"], [*map(_run, folders)])
    else:
        console.print("no runs here or below runs/ yet; `limbeck demo` makes the first in a minute or two")


_RUNS = ("*/status.json", "runs/*/status.json", "runs/*/*/status.json")


def _run(folder: Path) -> list[str]:
    status = _read(folder / "status.json")
    state = str(status.get("state", "unreadable"))
    if state == "running" and not _in_use(folder):
        state = "killed, --resume goes on"
    elif state == "interrupted":
        state = "interrupted, --resume goes on"
    judged = _read(folder / "evaluation.json").get("last") or {}
    runs = len([*folder.glob("runs/*/*/evaluation.json")])
    kind = f"comparison, {runs} runs" if runs else "run"
    return [str(folder), kind, state, percent(judged.get("top1")), _local_time(status.get("time"))]


def _local_time(stamp: Any) -> str:
    try:
        return f"{datetime.fromisoformat(stamp).astimezone():%Y-%m-%d %H:%M}"
    except (TypeError, ValueError):
        return ""


def _read(path: Path) -> dict[str, Any]:
    """A JSON object, empty where there is none to read."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _in_use(folder: Path) -> bool:
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        return True
    lock.release()
    return False


LISTS: dict[str, Callable[[], None]] = {
    "datasets": list_datasets,
    "models": list_models,
    "objectives": list_objectives,
    "views": list_views,
    "criteria": list_criteria,
    "recipes": list_recipes,
    "runs": list_runs,
}


def show_list(family: str | None) -> None:
    """One family of parts, or which families there are."""
    if family is None:
        for name in LISTS:
            console.print(f"limbeck ls {name}")
    elif family in LISTS:
        LISTS[family]()
    else:
        raise unknown_name("list", family, LISTS, f"`limbeck ls` knows {', '.join(LISTS)}.")
