"""Sections that the page of a run and the page of a comparison share."""

from pathlib import Path
from typing import Any

from limbeck.report import formats, reading
from limbeck.report.blocks import Block, Chart, Code, Image, Note, Section, Table
from limbeck.report.figures import classes as class_figures
from limbeck.report.vega import figure

Row = dict[str, Any]


def class_section(evaluation: Row, whose: str, beside: dict[str, list[Row]] | None = None) -> Section | None:
    """Accuracy of each class and confusion of one student, None for an evaluation without classes.

    Args:
        evaluation: an evaluation as a dict.
        whose: what the student is called.
        beside: further series of {"class", "value"} for comparison, the value None for a class without test images.
    """
    per_class, counts = evaluation.get("per_class") or [], evaluation.get("confusion") or []
    if not per_class:
        return None
    names = [str(row["class"]) for row in per_class]
    of_all = {whose: [{"class": str(row["class"]), "value": row["top1"]} for row in per_class], **(beside or {})}
    series = {name: [row for row in rows if row["value"] is not None] for name, rows in of_all.items()}
    dots = figure(class_figures.class_dots(series), "per-class", f"Accuracy of each class, {whose}")
    blocks: list[Block] = [Chart(dots, "Accuracy by class", _which_classes(len(names), len(series[whose])))]
    return Section("classes", "Classes and confusion", blocks + (_confusion(counts, names, whose) if counts else []))


def _which_classes(classes: int, evaluated: int) -> str:
    """Which of the classes a chart shows: those that have test images, and of many the worst."""
    kind = "classes" if evaluated == classes else "classes that have test images"
    most = class_figures.MOST_BARS
    which = f"All {kind}" if evaluated <= most else f"The {most} worst of {evaluated} {kind}"
    left = classes - evaluated
    without = f" {left} {'class' if left == 1 else 'classes'} had no test images." if left else ""
    return f"{which}, worst first; after the last step, on the test set.{without}"


def _confusion(counts: list[list[int]], names: list[str], whose: str) -> list[Block]:
    caption = (
        f"{whose}, after the last step, on the test set. Each row is a true class and sums to 100 %; blue is right, "
        "orange is an error, shaded relative to the commonest error."
    )
    label = f"Confusion matrix of {whose}"
    if len(names) > class_figures.MOST_CELLS:
        image: Block = Image(class_figures.confusion_picture(counts), label, caption)
    else:
        drawn = figure(class_figures.confusion_map(counts, names), "confusion", label, fluid=False)
        image = Chart(drawn, "Confusion, in percent of the true class", caption)
    errors = [
        (row["true"], row["predicted"], formats.number(row["images"]), formats.percent(row["share"]))
        for row in class_figures.common_errors(counts, names)
    ]
    columns = ("True class", "Taken for", "Images", "Share of the true class")
    return [image, Table("The commonest errors", columns, errors, numeric=range(2, 4))] if errors else [image]


def footprint_table(footprints: dict[str, Row | None]) -> Table | None:
    """Size and speed of networks, by who they are."""
    rows = []
    for who, footprint in footprints.items():
        if footprint:
            rows.append(
                (
                    who,
                    formats.large(footprint.get("parameters")),
                    formats.large(footprint.get("macs")),
                    formats.size(footprint.get("size_bytes")),
                    _latency(footprint, "1"),
                    _latency(footprint, "256"),
                    footprint.get("device") or formats.ABSENT,
                )
            )
    columns = (
        "Network",
        "Parameters",
        "Multiply-adds",
        "On disk",
        "Latency, batch 1",
        "Latency, batch 256",
        "Timed on",
    )
    return Table("Size and speed: median latency (95th percentile)", columns, rows) if rows else None


def recipe_section(folder: Path) -> Section | None:
    """The resolved recipe."""
    recipe = reading.text_file(folder / "recipe.yaml")
    return Section("recipe", "Recipe", [Code("recipe.yaml, resolved", recipe, open=True)]) if recipe else None


def settings_file_section(folder: Path) -> Section | None:
    """The settings that a command was called with."""
    settings = reading.text_file(folder / "settings.yaml")
    return Section("settings", "Settings", [Code("settings.yaml", settings, open=True)]) if settings else None


def environment_section(folder: Path) -> Section | None:
    """Versions and hardware, whatever environment.json holds."""
    path = folder / "environment.json"
    facts = reading.json_file(path, "Delete it to report without versions and hardware.")
    if not facts:
        return None
    rows = list(reading.flat(facts))
    table = Table("Where this ran", ("What", "Value"), rows, numeric=range(0))
    return Section("environment", "Versions and hardware", [table])


def definitions(notes: list[str], images: dict[str, int | None]) -> Section:
    """How each number is defined.

    Args:
        notes: sentences of this comparison or run.
        images: how many images each split has.
    """
    counts = [f"{formats.number(count)} {split}" for split, count in images.items() if count]
    sentences = [
        "Accuracy is top-1 on the test set after the last step of training; the test set chose nothing. "
        "Validation-chosen accuracy is the same measure at the step that did best on the validation split.",
        "A budget is the number of distinct images the student was taught on. Teacher passes are answers of the "
        "teacher to an image, whether it was asked to make the transfer set or to teach on it; those saved it had "
        "given before, so that they were read instead. Time is wall-clock time; like passes and energy it is of making "
        "and teaching together. What the teacher's own training took is not among it.",
    ]
    if counts:
        sentences.append(f"Images: {formats.listing(counts)}.")
    return Section("definitions", "How to read the numbers", [Note(sentence) for sentence in sentences + notes])


def _latency(footprint: Row, batch: str) -> str:
    latency = (footprint.get("latency_ms") or {}).get(batch)
    if not latency:
        return formats.ABSENT
    return f"{formats.number(latency['median'], 2)} ms ({formats.number(latency['p95'], 2)})"
