"""The page of a comparison: what was found, then everything needed to doubt it."""

from pathlib import Path
from typing import Any

from limbeck.files import atomic_write_text
from limbeck.report import comparison_charts as charts
from limbeck.report import comparison_tables as tables
from limbeck.report import formats, page, reading, sentences, shared_sections
from limbeck.report.blocks import Page, Section
from limbeck.report.comparison_cards import comparison_cards
from limbeck.report.controls import Controls
from limbeck.report.enough_section import enough_section
from limbeck.report.figures import frontier, ranking, style
from limbeck.report.passes import passes_warning
from limbeck.report.racing import racing_section
from limbeck.report.results_csv import Comparison, write_csv
from limbeck.report.results_tex import write_tex
from limbeck.report.settings_section import settings_section
from limbeck.report.transfer_set.of_arms import findings, made_by_arms, made_section
from limbeck.report.transfer_set.overlap import overlap_section

Row = dict[str, Any]


def write_comparison_report(folder: Path) -> Path:
    """Write report.html of a comparison folder, beside it its tables (see `write_tables`) and frontier.svg, or arms.svg
    where arms are ranked.

    Args:
        folder: a comparison folder with results.json; everything else in it is shown if it is there.

    Returns:
        The path of report.html.

    Raises:
        UserError: results.json is missing or broken; the message says how to make it again.

    Example:
        >>> str(write_comparison_report("runs/quick"))
        'runs/quick/report.html'
    """
    folder = Path(folder)
    results = reading.results(folder)
    write_tables(folder, results)
    if results["table"]:
        _write_chart(folder, results)
    return page.write(comparison_page(folder, results), folder / "report.html")


def _write_chart(folder: Path, results: Row) -> None:
    """Writes one chart and removes the other, which may be left from when the comparison had fewer arms or budgets."""
    if _ranked(results):
        atomic_write_text(folder / "arms.svg", ranking.ranking_svg(results))
        (folder / "frontier.svg").unlink(missing_ok=True)
    else:
        atomic_write_text(folder / "frontier.svg", frontier.frontier_svg(results))
        (folder / "arms.svg").unlink(missing_ok=True)


def write_tables(folder: Path, results: Row) -> None:
    """Write results.csv, summary.csv and results.tex into a comparison folder, as far as its runs have finished.

    Args:
        folder: of the comparison.
        results: the content of results.json.

    Example:
        >>> from limbeck.report.reading import results
        >>> write_tables(Path("runs/quick"), results(Path("runs/quick")))
    """
    comparison = Comparison(str(results.get("name") or folder.name), folder, results)
    write_csv([comparison], folder)
    write_tex([comparison], folder)


def comparison_page(folder: Path, results: Row) -> Page:
    """The content of the page, before it is rendered as HTML."""
    styles = style.arms(results)
    records = charts.metrics_by_arm(folder, results)
    controls, evidence = Controls.of(results), made_by_arms(folder, results)
    sections = [
        enough_section(results, styles),
        charts.ranking_section(results, styles) if _ranked(results) else charts.frontier_section(results, styles),
        settings_section(folder, results),
        tables.arms_section(results),
        tables.differences_section(results),
        racing_section(folder, results, styles),
        charts.curves_section(results, records, styles),
        overlap_section(folder, results),
        made_section(evidence, controls, styles),
        charts.pictures_section(folder, results),
        charts.classes_section(folder, results),
        tables.cost_section(results),
        tables.runs_section(folder, results),
        shared_sections.recipe_section(folder),
        shared_sections.environment_section(_environment(folder, results)),
        _definitions(results),
    ]
    return Page(
        kind="comparison",
        title=str(results.get("name") or folder.name),
        lead=[*sentences.lead(results), *passes_warning(results), *findings(evidence, controls)],
        facts=comparison_cards(results),
        sections=[section for section in sections if section],
        warning=_warning(results["runs"]),
        footer=str(results.get("created") or "")[:16].replace("T", " "),
    )


def _ranked(results: Row) -> bool:
    """Whether arms are shown one below the other: those of one budget, where a frontier could not tell them apart."""
    many = reading.at_one_budget(results) and reading.many_arms(results)
    return many or reading.without_budgets(results)


def _warning(runs: list[Row]) -> str:
    unfinished = sum(run["state"] not in ("finished", "dropped") for run in runs)
    return f"{unfinished} of {formats.plural(len(runs), 'run')} did not finish; see Runs." if unfinished else ""


def _environment(folder: Path, results: Row) -> Path:
    """The folder whose environment.json stands for the comparison: its own, else that of the first run with one."""
    folders = [folder, *(folder / run["folder"] for run in results["runs"] if run.get("folder"))]
    return next((path for path in folders if (path / "environment.json").is_file()), folder)


def _definitions(results: Row) -> Section:
    controls = Controls.of(results).sentence(
        (run["arm"] for run in results["runs"]), budgets=not reading.without_budgets(results)
    )
    notes = [
        tables.INTERVALS,
        *([controls] if controls else []),
        *map(str, results.get("notes") or []),
    ]
    splits = {"training": "train_images", "validation": "validation_images", "test": "test_images"}
    return shared_sections.definitions(notes, {split: results.get(key) for split, key in splits.items()})
