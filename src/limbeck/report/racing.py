"""The section of a comparison's page that says which arms stopped early, where, why, and what that saved."""

from pathlib import Path
from typing import Any

import altair as alt

from limbeck.report import formats, reading
from limbeck.report.blocks import Block, Cell, Chart, Grid, Legend, Note, Section, Table
from limbeck.report.controls import arm_order
from limbeck.report.figures import curves, style
from limbeck.report.vega import figure

Row = dict[str, Any]


def racing_section(folder: Path, results: Row, styles: dict[str, style.Arm]) -> Section | None:
    """None for a comparison in which no arm could stop early."""
    race = results.get("racing")
    if not race:
        return None
    blocks: list[Block] = [Note(sentence(race, ended=have_ended(results["runs"])))]
    if race["dropped"]:
        blocks.append(_table(results, race["dropped"]))
        charts = _charts(folder, results, styles)
        blocks += [Legend([arm for arm in styles.values() if not arm.control]), Grid(charts)] if charts else []
        blocks.append(Note(_how(race)))
    return Section("racing", "Stopped early", blocks)


def have_ended(runs: list[Row]) -> bool:
    """Whether every run of a comparison finished or stopped early, so that no rung is yet to be decided."""
    return all(run["state"] in ("finished", "dropped") for run in runs)


def sentence(race: Row, *, ended: bool = True) -> str:
    """Which arms stopped, and what that saved.

    Args:
        race: `racing` of the results.
        ended: whether nothing is left to be run.

    Example:
        >>> dropped = [{"arm": "herding", "budget": "10 %", "rung": "25 % of the steps", "runs": 3}]
        >>> saved = {"steps": 2700, "seconds": 340.0, "teacher_passes": 172_800}
        >>> sentence({"dropped": dropped, "saved": saved, "share": 0.1})
        'herding at 10 % stopped at 25 % of the steps. That saved about 10 % of the steps of all runs: 2,700 steps, 5
        min 40 s and 172,800 teacher passes.'
    """
    if not race["dropped"]:
        where = f" ({', '.join(race['rungs'])})" if race.get("rungs") else ""
        clause = f"No arm was beyond reach of the best at a rung{where}"
        return f"{clause}, so that all runs went on to their end." if ended else f"{clause} so far."
    by_rung: dict[str, list[str]] = {}
    for row in race["dropped"]:
        by_rung.setdefault(row["rung"], []).append(f"{row['arm']}{formats.at(row['budget'])}")
    clauses = [f"{formats.listing(names)} stopped at {rung}" for rung, names in by_rung.items()]
    saved = race["saved"]
    return (
        f"{'; '.join(clauses)}. That saved about {formats.percent(race['share'], 0)} of the steps of all runs: "
        f"{formats.plural(saved['steps'], 'step')}, {formats.duration(saved['seconds'])} and "
        f"{formats.number(saved['teacher_passes'])} teacher passes."
    )


def _table(results: Row, dropped: list[Row]) -> Table:
    order = arm_order(results)
    columns = ("Arm", "Budget", "Stopped at", "n", "Validation", "Best arm", "Difference", "Interval", "Runs left")
    rows = [
        (
            Cell(row["arm"], tone="strong"),
            str(row["budget"]),
            row["rung"],
            str(row["n"]),
            formats.percent(row["accuracy"]),
            row["against"],
            formats.points(row["difference"]),
            f"{formats.points(row['low'], signed=False)} to {formats.points(row['high'], signed=False)}",
            str(row["runs"]),
        )
        for row in sorted(dropped, key=lambda row: order[row["arm"]])
    ]
    by = "agreement with the teacher" if _measure(dropped) == "agreement" else "accuracy"
    caption = f"Arms that stopped: validation {by} over n seeds, and the difference to the best arm in points"
    if not reading.without_budgets(results):
        return Table(caption, columns, rows, numeric=range(3, 9))
    keep = [place for place, name in enumerate(columns) if name != "Budget"]
    return Table(caption, [columns[k] for k in keep], [[row[k] for k in keep] for row in rows], numeric=range(2, 8))


def _charts(folder: Path, results: Row, styles: dict[str, style.Arm]) -> list[Chart]:
    """Validation curves of the arms, as far as they went, with the rungs at which some stopped."""
    measure = _measure(results["racing"]["dropped"])
    named = {"agreement": "Validation agreement with the teacher"}.get(measure, "Validation top-1")
    by_budget: dict[str, list[Row]] = {}
    stops = {(row["arm"], row["budget"]) for row in results["racing"]["dropped"]}
    for budget in dict.fromkeys(row["budget"] for row in results["racing"]["dropped"]):
        rows = by_budget.setdefault(budget, [])
        for arm in dict.fromkeys(run["arm"] for run in results["runs"] if not run["control"]):
            runs = [run for run in results["runs"] if (run["arm"], run["budget"]) == (arm, budget)]
            state = "dropped" if (arm, budget) in stops else "finished"
            records = [_records(folder, run) for run in runs if run["state"] == state]
            means = curves.mean_over_seeds([log for log in records if log], "validation", measure)
            rows.extend({"arm": arm, **row} for row in means)
    domain = style.padded_share((row["value"] for rows in by_budget.values() for row in rows), share=0.04)
    charts = []
    for place, (budget, rows) in enumerate(by_budget.items()):
        rungs = {_steps(run) for run in results["runs"] if run["budget"] == budget}
        if rows and any(rungs):
            lines = curves.arm_curves(rows, styles, domain=domain, share=True)
            rules = alt.Chart(style.values([{"step": step} for step in sorted(rungs) if step]))
            rules = rules.mark_rule(color=style.RULE, strokeDash=[4, 3]).encode(x=alt.X("step:Q"))
            chart = alt.LayerChart(layer=[lines, rules], height=190)
            title = f"{named}, {budget}" if formats.at(budget) else named
            drawn = figure(chart, f"racing-{place}", f"{title}, against steps, up to where arms stopped", width=450)
            charts.append(Chart(drawn, title))
    return charts


def _measure(dropped: list[Row]) -> str:
    """The measure that arms were compared by; earlier versions knew accuracy alone."""
    return next((row["measure"] for row in dropped if "measure" in row), "top1")


def _records(folder: Path, run: Row) -> list[Row]:
    return reading.metrics(folder / run["folder"] / "metrics.jsonl") if run.get("folder") else []


def _steps(run: Row) -> int:
    return (run.get("dropped") or {}).get("step") or 0


def _how(race: Row) -> str:
    settings = race["settings"]
    return (
        f"At each rung ({', '.join(race['rungs'])}) an arm stopped if it was outside of the best "
        f"{formats.percent(settings['keep'], 0)} of the arms, and its difference to the best on the validation images "
        "was below zero with all of its interval, as it stood and as projected to the end. Intervals are paired over "
        "seeds, allow for the validation images being a sample, and share out a doubt of "
        f"{formats.percent(1 - settings['confidence'], 0)} among all decisions of a budget: whether one arm is behind "
        "another, for all pairs of arms at all rungs, as any arm might have turned out the best. Test images decided "
        "nothing. Arms that stopped are in no table or chart of results, and what their runs took up to there, "
        f"{formats.duration(race['spent']['seconds'])}, is not among the costs. Without `racing` their runs go on."
    )
