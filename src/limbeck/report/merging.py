"""Several comparisons merged into one: whether they may be, and their arms under unique names."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from limbeck.errors import UserError
from limbeck.report import formats, reading
from limbeck.report.controls import Controls
from limbeck.report.results_csv import Comparison
from limbeck.report.results_tex import networks

Row = dict[str, Any]


def comparisons_of(found: Sequence[tuple[Path, Row]]) -> list[Comparison]:
    """Comparisons under the names of their folders, or their paths where two have the same.

    Args:
        found: folder and results of each.

    Raises:
        UserError: one is given twice, there are fewer than two, or they were judged on different test images.
    """
    folders = [folder for folder, _ in found]
    if len({folder.resolve() for folder in folders}) < max(len(folders), 2):
        raise UserError(f"comparisons must be two or more, each once, got {formats.listing(map(str, folders))}.")
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    comparisons = [Comparison(name, *entry) for name, entry in zip(names, found, strict=True)]
    first = _test_images(comparisons[0])
    for comparison in comparisons[1:]:
        if not _same_images(other := _test_images(comparison), first):
            raise UserError(
                "comparisons can be merged that are judged on the same test images, got "
                f"{_words(first)} in {str(comparisons[0].folder)!r} and {_words(other)} in {str(comparison.folder)!r}; "
                "make a report of each, or leave out those of other test images."
            )
    return comparisons


def _test_images(comparison: Comparison) -> Row:
    """What identifies the test images; comparisons of early versions know their number and name alone."""
    mend = "Copy the whole folder of the comparison, or merge the others."
    stored = (reading.json_file(comparison.folder / "inputs.json", mend) or {}).get("test")
    data = recipe_of(comparison).get("data")
    size = _size(data)
    if stored:
        return {**{key: stored[key] for key in ("name", "images", "fingerprint")}, "size": size}
    test = data.get("test") if isinstance(data, dict) else data
    name = test.get("name") if isinstance(test, dict) else test
    images = comparison.results.get("test_images")
    return {"name": name, "images": images, "fingerprint": "", "size": size, "settings": test}


def _same_images(one: Row, other: Row) -> bool:
    """Whether test images are the same; known fingerprints decide, whatever the images are called."""
    if one["fingerprint"] and other["fingerprint"]:
        return all(one[key] == other[key] for key in ("images", "fingerprint"))
    return {**one, "size": ""} == {**other, "size": ""}


def _words(test: Row) -> str:
    size = f" of {test['size']} pixels" if test["size"] else ""
    fingerprint = f", fingerprint {test['fingerprint'][:12]}" if test["fingerprint"] else ""
    return f"{test['name']} ({formats.number(test['images'])} images{size}{fingerprint})"


def _size(data: Any) -> str:
    """'32x32', if the data of a recipe state the size that their test images are resized to."""
    if not isinstance(data, dict):
        return ""
    test = data.get("test")
    size = (test.get("size") if isinstance(test, dict) else None) or data.get("size")
    return "x".join(map(str, size if isinstance(size, list) else [size, size])) if size else ""


def recipe_of(comparison: Comparison) -> Row:
    """The resolved recipe; empty where there is none to read."""
    try:
        recipe = yaml.safe_load(reading.text_file(comparison.folder / "recipe.yaml") or "")
    except yaml.YAMLError:
        recipe = None
    return recipe if isinstance(recipe, dict) else {}


def with_unique_arms(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The same, with arms and controls whose name several comparisons use renamed after their comparison."""
    counts = Counter(arm for comparison in comparisons for arm in {run["arm"] for run in comparison.results["runs"]})
    return [_renamed(comparison, {arm for arm, count in counts.items() if count > 1}) for comparison in comparisons]


def _renamed(comparison: Comparison, shared: set[str]) -> Comparison:
    results = comparison.results

    def named(arm: str) -> str:
        return f"{arm} ({comparison.name})" if arm in shared else arm

    users = list(dict.fromkeys(named(run["arm"]) for run in results["runs"] if not run["control"]))
    controls = Controls.of(results)
    listed = [
        {
            "name": named(control.name),
            "label": f"{control.label} ({comparison.name})" if control.name in shared else control.label,
            "kind": control.kind,
            "teacher": control.teacher,
            "strict": control.strict,
            "arms": [*map(named, control.arms)] or users,
        }
        for name in (*controls.of_budget, *controls.full)
        if (control := controls.get(name)) is not None
    ]
    of_arms = ("arm", "against", "control", "student", "repeats")
    rows = {
        part: [
            {**row, **{key: named(row[key]) for key in of_arms if isinstance(row.get(key), str)}}
            for row in results.get(part) or []
        ]
        for part in ("runs", "table", "differences", "against", "passes")
    }
    for row in rows["passes"]:
        row["controls"] = [{**control, "name": named(control["name"])} for control in row["controls"]]
    baseline = results.get("baseline")
    return Comparison(
        comparison.name,
        comparison.folder,
        {**results, **rows, "controls": listed, "baseline": None if baseline is None else named(baseline)},
    )


def together(comparisons: Sequence[Comparison], folder: Path, name: str) -> Row:
    """One results.json of several comparisons; what only holds for a single one is left out.

    Args:
        comparisons: those of `with_unique_arms`.
        folder: that the folders of runs are relative to.
        name: of the whole.
    """
    first = comparisons[0].results
    same = {key: first.get(key) for key in ("teacher", "student") if _alike(comparisons, key)}
    return {
        "name": name,
        "created": max(str(comparison.results.get("created") or "") for comparison in comparisons),
        "metric": "top1",
        "baseline": None,
        "test_images": first.get("test_images"),
        **same,
        "controls": [row for comparison in comparisons for row in comparison.results["controls"]],
        "runs": [
            {**run, "folder": _from(comparison.folder / run["folder"], folder) if run.get("folder") else None}
            for comparison in comparisons
            for run in comparison.results["runs"]
        ],
        **{
            part: [row for comparison in comparisons for row in comparison.results.get(part) or []]
            for part in ("table", "differences", "against", "passes")
        },
        "merged": [{"name": comparison.name, "folder": _from(comparison.folder, folder)} for comparison in comparisons],
    }


def panels(comparisons: Iterable[Comparison]) -> dict[str, list[Comparison]]:
    """Comparisons grouped by teacher and student, in words; those of one group may share a chart.

    Students of one name are the same if they have as many parameters and multiply-adds, and teachers if their weights
    are.
    """
    comparisons = list(comparisons)
    by_networks: dict[tuple[str, str], list[Comparison]] = {}
    every = [comparison.results for comparison in comparisons]
    for comparison in comparisons:
        mend = "Copy the whole folder of the comparison, or merge the others."
        inputs = reading.json_file(comparison.folder / "inputs.json", mend) or {}
        teacher = (inputs.get("teacher") or {}).get("fingerprint", "")
        by_networks.setdefault((networks(comparison.results, every), teacher), []).append(comparison)
    several = len({words for words, _ in by_networks}) < len(by_networks)
    return {
        f"{words}, weights {teacher[:12]}" if several and teacher else words: same
        for (words, teacher), same in by_networks.items()
    }


def _alike(comparisons: Sequence[Comparison], key: str) -> bool:
    return all(comparison.results.get(key) == comparisons[0].results.get(key) for comparison in comparisons)


def _from(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
