"""`limbeck ls`: what there is, without importing torch."""

import json
from collections.abc import Callable
from pathlib import Path

from limbeck.cli.display import console, show_table
from limbeck.errors import unknown_name


def list_datasets() -> None:
    from limbeck.data.catalogue import DATASETS

    rows = [
        [name, info.hub_id or "scikit-learn", str(info.num_classes), f"{info.size[0]}x{info.size[1]}"]
        + [", ".join(f"{split} {where.images:,}" for split, where in info.splits.items())]
        for name, info in DATASETS.items()
    ]
    show_table("data sets", ["name", "hub id", "classes", "pixels", "splits"], rows, numbers=(2, 3))


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
        [name, ", ".join(f"{key}={_shown(value)}" for key, value in entry.options.items()), entry.summary]
        + [f"{entry.paper} ({entry.year})"]
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

    rows = [[name, one.representation, one.score, one.allocation, one.order] for name, one in CRITERIA.items()]
    show_table("selection criteria", ["name", "representation", "score", "allocation", "order"], rows)


def list_recipes() -> None:
    from limbeck.recipes.packaged import packaged_recipes, summary

    show_table("recipes", ["name", ""], [[name, summary(path)] for name, path in packaged_recipes().items()])


def list_runs(root: Path = Path("runs")) -> None:
    """Runs and comparisons below `root`, those inside a comparison left out."""
    rows = []
    for status in sorted([*root.glob("*/status.json"), *root.glob("*/*/status.json")]):
        folder = status.parent
        state = json.loads(status.read_text())
        kind = "comparison" if (folder / "networks.json").exists() else "run"
        rows.append([str(folder), kind, state["state"], state["time"]])
    if rows:
        show_table(f"runs below {root}", ["folder", "kind", "state", "since"], rows)
    else:
        console.print(f"no runs below {root}/ yet; `limbeck demo` makes the first in three minutes")


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
        raise unknown_name("family", family, LISTS)
