"""The page of one run: how it learned, how good the student is, what it cost."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from limbeck.cost import RunCost
from limbeck.errors import UserError
from limbeck.report import cost_tables, formats, page, reading, shared_sections
from limbeck.report.blocks import Block, Chart, Code, Fact, Grid, Note, Page, Section, Table
from limbeck.report.figures import curves
from limbeck.report.reading import fidelity
from limbeck.report.similarity import similarity_section
from limbeck.report.transfer_set.page import evidence_of_run, transfer_set_section
from limbeck.report.vega import figure

Row = dict[str, Any]
_WARNINGS = {
    "running": "This run is not over: the numbers are those of the last checkpoint.",
    "interrupted": "This run was interrupted; --resume goes on from its last checkpoint.",
    "failed": "This run failed; see What went wrong.",
}


def write_run_report(folder: Path) -> Path:
    """Write report.html of a run folder; parts that the run does not have are left out.

    Args:
        folder: a run folder, of a finished run or of one that stopped.

    Returns:
        The path of report.html.

    Raises:
        UserError: the folder holds no run, or a file in it is broken.

    Example:
        >>> str(write_run_report("runs/teacher"))
        'runs/teacher/report.html'
    """
    folder = Path(folder)
    if not any((folder / name).is_file() for name in ("status.json", "metrics.jsonl", "evaluation.json")):
        raise UserError(
            f"{folder} holds no run: no status.json, metrics.jsonl or evaluation.json. `limbeck ls runs` lists runs."
        )
    return page.write(run_page(folder), folder / "report.html")


def run_page(folder: Path) -> Page:
    """The content of the page, before it is rendered as HTML."""
    mend = f"`limbeck evaluate {folder}` makes it again."
    evaluations = reading.json_file(folder / "evaluation.json", mend) or {}
    status = reading.json_file(folder / "status.json", "Resume the run with --resume; it writes the file again.") or {}
    cost = reading.json_file(folder / "cost.json", "Delete it to report without the cost.") or {}
    records = reading.metrics(folder / "metrics.jsonl")
    last = evaluations.get("last") or {}
    evidence = evidence_of_run(folder)
    sections = [
        _status(status),
        _evaluation(evaluations),
        _curves(records),
        shared_sections.class_section(last, "this student", _agreement(last)),
        similarity_section(folder),
        transfer_set_section(evidence),
        _cost(cost, evaluations),
        shared_sections.recipe_section(folder),
        shared_sections.environment_section(folder),
        shared_sections.definitions([], {"test": last.get("n")}),
    ]
    state = status.get("state", "finished")
    return Page(
        kind="run",
        title=f"{folder.parent.name}, {folder.name}" if folder.name.startswith("seed-") else folder.name,
        lead=[_lead(evaluations, cost, records, state), *([] if evidence is None else evidence.findings)],
        facts=_facts(evaluations, cost),
        sections=[section for section in sections if section],
        warning=_WARNINGS.get(state, ""),
    )


def _lead(evaluations: Row, cost: Row, records: list[Row], state: str) -> str:
    last, watched = evaluations.get("last"), _watched(evaluations)
    if not last and not watched:
        steps = max((record["step"] for record in records), default=0)
        return f"Not evaluated: the run is {state} after {formats.plural(steps, 'step')}"
    images = cost.get("images")
    taught = f", taught on {formats.plural(images, 'image')}" if images else ""
    total = RunCost.from_dict(cost).total
    passes = f" with {formats.number(total.teacher_passes)} teacher passes" if total.teacher_passes else ""
    if last:
        right = f"{formats.percent(last['top1'], 2)} of {formats.number(last['n'])} test images"
        return f"The student is right on {right}{taught}{passes}"
    agrees = f"{formats.percent(watched['last'], 2)} of {formats.number(watched['images'])} validation images"
    return f"The student agrees with its teacher on {agrees}{taught}{passes}"


def _watched(evaluations: Row) -> Row:
    """Agreement with the teacher on validation images without labels; empty if they have labels."""
    scores = evaluations.get("validation") or {}
    return scores if scores.get("measure") == "agreement" else {}


def _facts(evaluations: Row, cost: Row) -> list[Fact]:
    last, chosen, footprint = (evaluations.get(key) or {} for key in ("last", "chosen", "footprint"))
    facts = []
    if last:
        facts.append(Fact("last step", formats.percent(last["top1"], 2), "top-1 on the test set"))
    if chosen:
        step = f"step {formats.number(evaluations.get('chosen_step'))}"
        facts.append(Fact("validation-chosen", formats.percent(chosen["top1"], 2), step))
    if watched := _watched(evaluations):
        note = f"with the teacher, on {formats.number(watched['images'])} validation images"
        facts.append(Fact("agreement", formats.percent(watched["last"], 2), note))
    if footprint:
        on_disk = formats.size(footprint.get("size_bytes"))
        facts.append(Fact("parameters", formats.large(footprint.get("parameters")), on_disk))
    if cost:
        total = RunCost.from_dict(cost).total
        facts.append(Fact("time", formats.duration(total.seconds), cost_tables.energy(total)))
    return facts


def _status(status: Row) -> Section | None:
    if not status.get("error"):
        return None
    return Section("error", "What went wrong", [Code("Error", str(status["error"]), open=True)])


def _evaluation(evaluations: Row) -> Section:
    columns = {"Last step": evaluations.get("last"), "Validation-chosen": evaluations.get("chosen")}
    judged = {title: evaluation for title, evaluation in columns.items() if evaluation}
    if not judged:
        words = "The run had no labelled test images." if evaluations else "This run has no evaluation.json yet."
        return Section("evaluation", "Evaluation", [Note(words), *_agreement_table(evaluations)])
    measures = {
        "Top-1": lambda evaluation: formats.percent(evaluation.get("top1"), 2),
        "Top-5": lambda evaluation: formats.percent(evaluation.get("top5"), 2),
        "Negative log-likelihood": lambda evaluation: formats.number(evaluation.get("nll"), 4),
        "Expected calibration error": lambda evaluation: formats.percent(evaluation.get("ece"), 2),
        "Agreement with the teacher": lambda evaluation: formats.percent(fidelity(evaluation, "agreement"), 2),
        "Divergence from the teacher (nats)": lambda evaluation: formats.number(fidelity(evaluation, "divergence"), 4),
        "Top-1 of the teacher": lambda evaluation: formats.percent(fidelity(evaluation, "teacher_top1"), 2),
    }
    rows = [(label, *(show(evaluation) for evaluation in judged.values())) for label, show in measures.items()]
    rows = [row for row in rows if set(row[1:]) != {formats.ABSENT}]
    caption = f"On {formats.number(next(iter(judged.values())).get('n'))} test images"
    blocks: list[Block] = [Table(caption, ("Measure", *judged), rows)]
    blocks += _agreement_table(evaluations)
    if "Validation-chosen" not in judged:
        blocks.append(Note("No step was chosen by validation: the run had no validation split."))
    return Section("evaluation", "Evaluation", blocks)


def _agreement_table(evaluations: Row) -> list[Block]:
    """The student beside its teacher on validation images without labels."""
    watched = _watched(evaluations)
    if not watched:
        return []
    rows = [
        ("Agreement with the teacher", formats.percent(watched["last"], 2), formats.percent(watched["best"], 2)),
        ("Divergence from the teacher (nats)", formats.number(watched.get("divergence"), 4), formats.ABSENT),
    ]
    caption = f"On {formats.number(watched['images'])} validation images whose labels are not used"
    best = f"Step {formats.number(watched['best_step'])}, where they agree the most"
    chosen = "The validation-chosen student is the one that agreed with the teacher on the most of these images."
    return [Table(caption, ("Measure", "Last step", best), rows), Note(chosen)]


def _curves(records: list[Row]) -> Section | None:
    train = [record for record in records if record["kind"] == "train"]
    losses = _series(train, lambda record: {"loss": record.get("loss"), **_terms(record)})
    validation = [record for record in records if record["kind"] == "validation"]
    charts = [
        ("loss", "Training loss", losses, False),
        ("top1", "Validation top-1", _series(validation, lambda record: {"top-1": record.get("top1")}), True),
        ("nll", "Validation loss", _series(validation, lambda record: {"nll": record.get("nll")}), False),
        ("agreement", "Validation agreement with the teacher", _series(validation, _of("agreement")), True),
        ("divergence", "Validation divergence from the teacher", _series(validation, _of("divergence")), False),
        ("rate", "Learning rate", _series(train, lambda record: {"rate": record.get("learning_rate")}), False),
    ]
    drawn = [
        Chart(
            figure(curves.series_curves(rows, share=share), f"curve-{key}", f"{title} against steps", width=450), title
        )
        for key, title, rows, share in charts
        if rows
    ]
    if not drawn:
        return None
    note = [] if validation else [Note("The run had no validation split, so there are no validation curves.")]
    return Section("curves", "Learning curves", [Grid(drawn), *note])


def _of(name: str) -> Callable[[Row], Row]:
    return lambda record: {name: record.get(name)}


def _terms(record: Row) -> Row:
    """The terms of the loss, unless the only one is the loss itself."""
    terms = record.get("terms") or {}
    return terms if len(terms) > 1 else {}


def _series(records: list[Row], values: Any) -> list[Row]:
    return [
        {"series": series, "step": record["step"], "value": value}
        for record in reading.thin(records)
        for series, value in values(record).items()
        if formats.is_number(value)
    ]


def _agreement(last: Row) -> dict[str, list[Row]]:
    rows = (last.get("fidelity") or {}).get("per_class")
    if not rows:
        return {}
    return {"agreement with the teacher": [{"class": str(row["class"]), "value": row["agreement"]} for row in rows]}


def _view_cache(cost: Row) -> list[tuple[str, str]]:
    cache = cost.get("view_cache")
    if not cache:
        return []
    rows = [
        ("View cache", f"{' and '.join(cache['outputs'])}, up to {formats.size(cache['bytes'])}, {cache['folder']}"),
    ]
    error = cache.get("top_k_error")
    if error:
        at = zip(error["temperatures"], error["mean"], error["largest"], strict=True)
        words = "; ".join(f"{mean:.4f} (largest {largest:.4f}) at temperature {t:g}" for t, mean, largest in at)
        rows.append(("Total variation lost to its top-k", f"{words}, over {formats.number(error['answers'])} answers"))
    return rows


def _cost(content: Row, evaluations: Row) -> Section | None:
    cost, blocks = RunCost.from_dict(content), []
    if cost.known:
        rows = cost_tables.parts([cost])
        rows += [("the teacher itself", *cost_tables.cells([cost.teacher]))] if cost.teacher is not None else []
        details = [
            ("Images taught on", formats.number(content.get("images"))),
            *_view_cache(content),
            ("How the energy is known", str((content.get("energy") or {}).get("how") or formats.ABSENT)),
        ]
        blocks = [
            Table("What the run took", ("What", *cost_tables.COLUMNS), rows),
            Table("More about it", ("What", "Amount"), details),
        ]
    footprint = shared_sections.footprint_table({"student": evaluations.get("footprint")})
    return Section("cost", "Cost", [*blocks, *([footprint] if footprint else [])]) if blocks or footprint else None
