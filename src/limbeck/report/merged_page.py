"""The page of several comparisons: which they are, all their arms together, and what differs between them."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import quote

from limbeck.files import atomic_write_text
from limbeck.report import comparison_charts as charts
from limbeck.report import comparison_tables as tables
from limbeck.report import formats, page, reading, sentences, shared_sections
from limbeck.report.blocks import Cell, Fact, Note, Page, Section, Table
from limbeck.report.comparison_cards import comparison_cards
from limbeck.report.figures import frontier, style
from limbeck.report.merging import comparisons_of, panels, recipe_of, together, with_unique_arms
from limbeck.report.passes import passes_warning
from limbeck.report.results_csv import Comparison, write_csv
from limbeck.report.results_tex import write_tex

Row = dict[str, Any]
_OWN = ("name", "summary", "compare.arms")  # settings that tell comparisons apart by themselves
_HOW = (
    "Every arm is set against the controls of its own comparison, and every verdict is the one that its own report "
    "gives. Between arms of different comparisons nothing was tested: what else differs stands below, and charts show "
    "arms of one teacher and one student together. Learning curves, images and what the arms chose are in the reports "
    "of the comparisons."
)


def write_merged_report(found: Sequence[tuple[Path, Row]], folder: Path) -> Path:
    """Write report.html, results.json, results.csv, summary.csv and results.tex of several comparisons into `folder`.

    Args:
        found: folder and results of two comparisons or more.
        folder: where to.

    Returns:
        The path of report.html.

    Raises:
        UserError: one is given twice, or they were judged on different test images.
    """
    comparisons = comparisons_of(
        [(path, {**content, "runs": reading.with_images(content["runs"])}) for path, content in found]
    )
    apart = with_unique_arms(comparisons)
    results = together(apart, folder, " + ".join(comparison.name for comparison in comparisons))
    write_csv(comparisons, folder)
    write_tex(comparisons, folder)
    reading.write_results(folder, results)
    if len(panels(apart)) == 1 and results["table"] and not reading.without_budgets(results):
        atomic_write_text(folder / "frontier.svg", frontier.frontier_svg(results))
    else:  # one chart cannot show them together, as an earlier report may have
        (folder / "frontier.svg").unlink(missing_ok=True)
    return page.write(merged_page(comparisons, apart, results, folder), folder / "report.html")


def merged_page(comparisons: Sequence[Comparison], apart: Sequence[Comparison], results: Row, folder: Path) -> Page:
    """The content of the page, before it is rendered as HTML.

    Args:
        comparisons: with arms under their own names.
        apart: the same, with unique arms.
        results: of all together.
        folder: in which the page will be.
    """
    sections = [
        _which(comparisons, results),
        *_panels(apart, results, folder),
        tables.arms_section(results),
        tables.differences_section(results),
        _settings(comparisons),
        tables.cost_section(results),
        tables.runs_section(folder, results),
        _definitions(comparisons),
    ]
    unfinished = sum(run["state"] not in ("finished", "dropped") for run in results["runs"])
    runs = formats.plural(len(results["runs"]), "run")
    return Page(
        kind="comparisons",
        title=str(results["name"]),
        lead=[f"{comparison.name}: {'. '.join(_lead(comparison.results))}" for comparison in comparisons],
        facts=_cards(apart),
        sections=[section for section in sections if section],
        warning=f"{unfinished} of {runs} did not finish; see Runs." if unfinished else "",
        footer=str(results["created"])[:16].replace("T", " "),
    )


def _lead(results: Row) -> list[str]:
    """What a comparison's own page says first of its arms."""
    return [*sentences.lead(results), *passes_warning(results)]


def _cards(apart: Sequence[Comparison]) -> list[Fact]:
    """The cards of every comparison; that of a shared teacher once."""
    return list(dict.fromkeys(chain.from_iterable(comparison_cards(comparison.results) for comparison in apart)))


def _which(comparisons: Sequence[Comparison], results: Row) -> Section:
    columns = ("Comparison", "Teacher", "Student", "Training images", "Budgets", "Arms", "Seeds", "Runs finished")
    rows = []
    for comparison, place in zip(comparisons, results["merged"], strict=True):
        runs = comparison.results["runs"]
        report = f"{place['folder']}/report.html" if (comparison.folder / "report.html").is_file() else ""
        finished = sum(run["state"] == "finished" for run in runs)
        rows.append(
            (
                Cell(comparison.name, quote(report), "strong"),
                *(
                    str((comparison.results.get(role) or {}).get("name", formats.ABSENT))
                    for role in ("teacher", "student")
                ),
                _training_images(comparison),
                formats.listing(dict.fromkeys(str(run["budget"]) for run in runs if not run["control"])),
                str(len({run["arm"] for run in runs if not run["control"]})),
                str(len({run["seed"] for run in runs})),
                f"{finished} of {len(runs)}",
            )
        )
    tested = formats.number(results.get("test_images"))
    table = Table(f"All are judged on the same {tested} test images", columns, rows, numeric=range(5, 8))
    return Section("comparisons", "Comparisons", [table, Note(_HOW)])


def _training_images(comparison: Comparison) -> str:
    inputs = reading.json_file(comparison.folder / "inputs.json", "Merge the others.") or {}
    train = inputs.get("train")
    count = comparison.results.get("train_images")
    if train:
        return f"{train['name']} ({formats.number(train['images'])})"
    return formats.number(count) if count else "none"


def _panels(apart: Sequence[Comparison], results: Row, folder: Path) -> list[Section]:
    """A frontier, or arms below one another, of the comparisons of each teacher and student; colours are the same."""
    styles, groups = style.arms(results), panels(apart)
    sections = []
    for place, (words, group) in enumerate(groups.items()):
        joined = together(group, folder, words)
        shown = {name: arm for name, arm in styles.items() if name in {run["arm"] for run in joined["runs"]}}
        if reading.without_budgets(joined):
            section = charts.ranking_section(joined, shown, f"arms-{place}")
        else:
            section = charts.frontier_section(joined, shown, f"frontier-{place}")
        title = f"{section.title}: {words}" if len(groups) > 1 else section.title
        sections.append(Section(f"{section.key}-{place}", title, section.blocks))
    return sections


def _settings(comparisons: Sequence[Comparison]) -> Section | None:
    """The settings of the recipes that are not the same."""
    recipes = [dict(reading.flat(recipe_of(comparison))) for comparison in comparisons]
    names = dict.fromkeys(name for recipe in recipes for name in recipe)
    other = [
        name
        for name in names
        if len({recipe.get(name, "None") for recipe in recipes}) > 1
        and not any(name == prefix or name.startswith(f"{prefix}.") for prefix in _OWN)
    ]
    if not other:
        return None
    rows = [(name, *(recipe.get(name, formats.ABSENT) for recipe in recipes)) for name in other]
    columns = ("Setting", *(comparison.name for comparison in comparisons))
    table = Table("What the recipes say, but for their arms", columns, rows, numeric=range(0), folded=len(rows) > 20)
    return Section("differing", "What differs", [table])


def _definitions(comparisons: Sequence[Comparison]) -> Section:
    notes: list[str] = []
    for comparison in comparisons:
        notes += [f"{comparison.name}: {note}" for note in map(str, comparison.results.get("notes") or [])]
    counts = {"test": comparisons[0].results.get("test_images")}
    return shared_sections.definitions([tables.INTERVALS, *notes], counts)
