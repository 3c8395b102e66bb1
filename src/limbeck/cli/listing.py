"""`limbeck ls`: what there is, without importing torch."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from limbeck.cli.display import console, percent, show_table
from limbeck.errors import UserError, unknown_name


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
    from limbeck.models.published import NAMED

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
            ", ".join(entry.aliases),
            str(entry.year),
            ", ".join(needs(entry)),
            f"{entry.weight:g}",
            ", ".join(entry.options),
        ]
        for name, entry in OBJECTIVES.items()
    ]
    show_table("objectives", ["name", "also", "year", "needs", "weight", "options"], rows, numbers=(2, 4))
    console.print("\n`limbeck ls objectives <name>` tells more of one, defaults and paper among it", style="dim")


def show_objective(name: str) -> None:
    from limbeck.objectives.catalogue import NAMES, OBJECTIVES
    from limbeck.recipes.packaged import packaged_recipes

    if name not in NAMES:
        raise unknown_name("objective", name, NAMES, "`limbeck ls objectives` lists them all")
    entry = OBJECTIVES[NAMES[name]]
    recipe = f"cifar100-{NAMES[name]}"
    rows = [
        ["also", ", ".join(entry.aliases)],
        ["learns from", entry.summary],
        ["needs", ", ".join(needs(entry))],
        ["weight", f"{entry.weight:g}"],
        ["options", "\n".join(f"{key}={shown(value)}" for key, value in entry.options.items())],
        ["published in", written_sum(entry.typical)],
        ["paper", f"{entry.paper} ({entry.year})"],
        ["recipe", recipe if recipe in packaged_recipes() else ""],
    ]
    show_table(NAMES[name], ["", ""], [row for row in rows if row[1]])


def needs(entry: Any) -> list[str]:
    """What an objective reads, teacher and student taken together."""
    words = (need.removeprefix("student_").removeprefix("teacher_") for need in entry.needs)
    words = ("teacher's head" if word == "head" else word.replace("_", "-") for word in words)
    return list(dict.fromkeys(words))


def written_sum(weights: Mapping[str, float]) -> str:
    """A weighted sum as recipes write it."""
    return f"{{{', '.join(f'{name}: {weight:g}' for name, weight in weights.items())}}}"


def shown(value: float | bool | str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def list_views() -> None:
    from limbeck.data.view_catalogue import VIEWS

    rows = [[name, entry.distinct, ", ".join(entry.options), entry.summary] for name, entry in VIEWS.items()]
    show_table("views", ["name", "distinct views", "options", ""], rows)


def list_criteria() -> None:
    from limbeck.transfer.criteria import CRITERIA
    from limbeck.transfer.parts import ALLOCATIONS, ORDERS, REPRESENTATIONS, SCORES

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
    from limbeck.recipes.inheritance import load_recipe
    from limbeck.recipes.packaged import packaged_recipes, summary

    rows = [
        [name, summary(path), ", ".join(load_recipe(path).get("choices") or ())]
        for name, path in packaged_recipes().items()
    ]
    show_table("recipes", ["name", "", "choices"], rows)


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


def show_list(family: str | None, name: str | None = None) -> None:
    """One family of parts, one part of it, or which families there are."""
    if name is not None and family != "objectives":
        raise UserError(f"`limbeck ls {family}` takes no name; `limbeck ls objectives <name>` does, got {name!r}.")
    if name is not None:
        show_objective(name)
    elif family is None:
        for name in LISTS:
            console.print(f"limbeck ls {name}")
    elif family in LISTS:
        LISTS[family]()
    else:
        raise unknown_name("list", family, LISTS, f"`limbeck ls` knows {', '.join(LISTS)}.")


def show_cache(kind: str | None) -> None:
    """What the cache holds.

    Raises:
        UserError: an unknown kind.
    """
    from limbeck.caching import cache_entries, cache_folder

    entries = cache_entries(kind)
    console.print(f"{cache_folder()}: {sum(one.bytes for one in entries) / 1e6:,.1f} MB", markup=False, soft_wrap=True)
    rows = [
        [one.kind, one.key[:10], f"{one.bytes / 1e6:,.1f}", f"{one.used:%Y-%m-%d %H:%M}", _about_cached(one.about)]
        for one in entries
    ]
    if rows:
        show_table("cache", ["kind", "key", "MB", "used", "what"], rows, numbers=(2,))


def _about_cached(about: dict[str, Any]) -> str:
    if "teacher" in about:
        views = f"{about['views_per_image']} view{'s' if about['views_per_image'] > 1 else ''}"
        return f"{about['teacher']} on {about['data']}, {about['images']:,} x {views}, {about['precision']}"
    return " on ".join(str(about[key]) for key in ("network", "images", "name") if key in about)
