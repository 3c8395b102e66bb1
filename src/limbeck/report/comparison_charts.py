"""The charts of a comparison: frontier, learning curves, galleries, classes."""

from pathlib import Path
from typing import Any

from limbeck.report import formats, reading, shared_sections
from limbeck.report.blocks import Block, Chart, Gallery, Grid, Legend, Note, Section
from limbeck.report.controls import Controls, arm_order
from limbeck.report.figures import curves, frontier, ranking, style
from limbeck.report.transfer_set import old_layouts
from limbeck.report.transfer_set.page import GALLERY_BYTES, light, weight
from limbeck.report.transfer_set.pictures import picture_groups
from limbeck.report.vega import figure
from limbeck.transfer.evidence import EVIDENCE, Evidence, read_evidence

Row = dict[str, Any]
Records = dict[tuple[str, str], list[list[Row]]]


def frontier_section(results: Row, styles: dict[str, style.Arm], key: str = "frontier") -> Section:
    """Accuracy against images and, in smaller charts, against other costs; keys of charts begin with `key`."""
    if not results["table"]:
        return Section("frontier", "Frontier", [Note("No run has finished, so there is no frontier to draw.")])
    full = Controls.of(results).full
    drawn = [arm for name, arm in styles.items() if name not in full]
    main = figure(
        frontier.frontier(results, styles=styles), key, "Test accuracy against images taught on, for every arm"
    )
    caption = (
        "Lines and large dots are means over seeds, bars their 95 % interval, small dots single seeds. Arms with the "
        "same budget are drawn a few pixels apart."
    )
    others = []
    for cost, words in frontier.COSTS.items():
        if cost != "images" and frontier.has_cost(results, cost):
            chart = frontier.frontier(results, cost, styles=styles, height=210)
            small = figure(chart, f"{key}-{cost}", f"Test accuracy against {words}", width=290)
            others.append(Chart(small, f"Against {words}"))
    blocks: list[Block] = [Legend(drawn), Chart(main, "", caption)]
    return Section("frontier", "Frontier", [*blocks, Grid(others, columns=3)] if others else blocks)


def ranking_section(results: Row, styles: dict[str, style.Arm], key: str = "arms") -> Section:
    """Arms of equally many images below one another; keys of charts begin with `key`."""
    if not results["table"]:
        return Section("arms", "Arms", [Note("No run has finished, so there is nothing to draw.")])
    main = figure(ranking.ranking(results, styles), key, "Test accuracy of every arm")
    caption = "All arms learn from the same images."
    if not reading.without_budgets(results):
        caption = f"All arms learn from {formats.plural(_fewest(results), 'image')}, but for those on the full data."
    caption += " Large dots are means over seeds, bars their 95 % interval, small dots single seeds."
    if top1 := ((results.get("teacher") or {}).get("evaluation") or {}).get("top1"):
        caption += f" The teacher has {formats.percent(top1)}."
    others = [
        Chart(figure(ranking.cost_bars(results, cost, styles), f"{key}-{cost}", f"{words} of every arm", width=450))
        for cost, words in ranking.COSTS.items()
        if frontier.has_cost(results, cost)
    ]
    blocks: list[Block] = [Chart(main, "", caption)]
    return Section("arms", "Arms", [*blocks, Grid(others)] if others else blocks)


def _fewest(results: Row) -> int:
    return min(row["images"] for row in results["table"])


def metrics_by_arm(folder: Path, results: Row) -> Records:
    """Records of the finished runs by (budget, arm), one list per seed; budgets from small to large.

    Arms that stopped early are left out.
    """
    by_arm: Records = {}
    for run in sorted(reading.compared_runs(results), key=lambda run: run["images"]):
        if run["state"] == "finished" and run.get("folder"):
            records = reading.metrics(folder / run["folder"] / "metrics.jsonl")
            if records:
                by_arm.setdefault((str(run["budget"]), run["arm"]), []).append(records)
    return by_arm


def curves_section(results: Row, records: Records, styles: dict[str, style.Arm]) -> Section | None:
    validation = [chart for key in ("top1", "agreement") for chart in _curves(records, styles, "validation", key)]
    training = _curves(records, styles, "train", "loss")
    if not validation and not training:
        return None
    words = "Means over seeds of the finished runs. " + (
        "Training loss is the sum of each arm's own objectives, so its level says nothing about another arm's."
        if reading.without_budgets(results)
        else "Training loss is over the images of each arm, so its level says how hard these are, not how good the "
        "student is."
    )
    if not results.get("validation_images"):
        words += " No images were held out for validation, so there are no validation curves."
    blocks: list[Block] = [
        Legend(list(styles.values())),
        *(Grid(charts) for charts in (validation, training) if charts),
    ]
    return Section("curves", "Learning curves", [*blocks, Note(words)])


_TITLES = {
    "top1": "Validation top-1",
    "agreement": "Validation agreement with the teacher",
    "loss": "Training loss",
}


def _curves(records: Records, styles: dict[str, style.Arm], kind: str, key: str) -> list[Chart]:
    """One chart per budget, all with the same y axis."""
    rows: dict[str, list[Row]] = {}
    for (budget, arm), runs in records.items():
        rows.setdefault(budget, []).extend({"arm": arm, **row} for row in curves.mean_over_seeds(runs, kind, key))
    padded = style.padded if key == "loss" else style.padded_share
    domain = padded((row["value"] for points in rows.values() for row in points), share=0.04)
    title = _TITLES[key]
    charts = []
    for place, (budget, points) in enumerate(rows.items()):
        if points:
            chart = curves.arm_curves(points, styles, domain=domain, share=key != "loss")
            drawn = figure(chart, f"curve-{key}-{place}", f"{title} against steps{formats.at(budget)}", width=450)
            charts.append(Chart(drawn, f"{title}, {budget}" if formats.at(budget) else title))
    return charts


def pictures_section(folder: Path, results: Row) -> Section | None:
    """What the first seed of each arm was taught on: user's arms first, small budgets first, until the page is full."""
    controls = Controls.of(results)
    first: dict[str, Row] = {}
    for run in results["runs"]:
        if run.get("folder"):
            first.setdefault(Path(run["folder"]).parent.name, run)
    blocks: list[Block] = []
    spent, left_out, order = 0, 0, arm_order(results)
    for group, run in sorted(first.items(), key=lambda item: _place(item[1], order)):
        shown = _shown(folder, group)
        groups, _ = light(picture_groups(shown))
        spent += weight(groups)
        if groups and blocks and spent > GALLERY_BYTES:
            left_out += 1
        elif groups:
            title = f"{controls.label(run['arm'])}{formats.at(run['budget'])}"
            title += f": {shown.headline}" if shown.headline else ""
            blocks.append(Gallery(title, groups, open=not blocks))
    if left_out:
        blocks.append(Note(f"{left_out} more lie in {EVIDENCE}/ and were left out to keep this page light."))
    return Section("pictures", "Chosen and left out", blocks) if blocks else None


def _place(run: Row, order: dict[str, int]) -> tuple[bool, int, int]:
    return bool(run["control"]), run["images"], order[run["arm"]]


def _shown(folder: Path, group: str) -> Evidence:
    """The evidence of an arm at a budget, or the part of it that comparisons of earlier versions kept."""
    evidence = read_evidence(folder / EVIDENCE / group)
    if evidence is not None:
        return evidence
    classes, score, pictures = old_layouts.read_gallery(folder / "galleries" / f"{group}.safetensors")
    return Evidence(headline="", score=score, classes=classes, pictures=pictures)


def classes_section(folder: Path, results: Row) -> Section | None:
    """The user's arm of the largest budget, its first finished seed, beside the strictest control of that budget."""
    compared = reading.compared_runs(results)
    finished = [run for run in compared if run["state"] == "finished" and run.get("folder")]
    for run in sorted(finished, key=lambda run: (run["control"], -run["images"], run["seed"])):
        if evaluation := _evaluation(folder, run):
            controls = Controls.of(results)
            beside = _control(folder, finished, run, controls)
            return shared_sections.class_section(evaluation, _words(run, controls), beside)
    return None


def _control(folder: Path, finished: list[Row], run: Row, controls: Controls) -> dict[str, list[Row]]:
    """Accuracy of each class of the strictest control with the budget and seed of `run`."""
    for arm in controls.strictest(arm=None if run["control"] else run["arm"]):
        for other in finished:
            alike = all(other[key] == run[key] for key in ("budget", "seed"))
            if alike and other["arm"] == arm != run["arm"] and (evaluation := _evaluation(folder, other)):
                return {
                    _words(other, controls): [
                        {"class": str(row["class"]), "value": row["top1"]} for row in evaluation["per_class"]
                    ]
                }
    return {}


def _words(run: Row, controls: Controls) -> str:
    return f"{controls.label(run['arm'])}{formats.at(run['budget'])}, seed {run['seed']}"


def _evaluation(folder: Path, run: Row) -> Row | None:
    path = folder / run["folder"] / "evaluation.json"
    evaluations = reading.json_file(path, f"`limbeck evaluate {path.parent}` makes it again.")
    return (evaluations or {}).get("last")
