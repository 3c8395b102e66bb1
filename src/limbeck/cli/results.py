"""Results of a run, a comparison, an evaluation or a probe, on the terminal."""

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

from limbeck.cli.display import console, percent, show_race, show_table


def show_tables(results: Mapping[str, Any]) -> None:
    """All that a comparison's summary leaves out: both accuracies, what every arm cost, and all differences."""
    table, differences = (_in_order(results, part) for part in ("table", "differences"))
    rows = _under_budgets(
        table,
        lambda row: [
            _arm(row),
            f"{row['images']:,}",
            str(row["n"]),
            percent(row["mean"], row["half_width"]),
            percent(row["chosen_mean"], row["chosen_half_width"]),
        ],
    )
    title = f"{results['name']}: top-1 in %, mean ± 95 % interval over n seeds"
    show_table(title, ["arm", "images", "n", "last step", "validation-chosen"], rows, numbers=range(1, 5))
    if any(row["control"] for row in results["table"]):
        console.print("* a control that every comparison has", style="dim")
    console.print()
    show_table(
        "cost of making and teaching, means per run",
        ["arm", "teacher\npasses", "of these\nsaved", "seconds", "of these\nmaking", "Wh"],
        _under_budgets(table, lambda row: [_arm(row), *_costs(row)]),
        numbers=range(1, 6),
    )
    if differences:
        console.print()
        show_table(
            "differences in top-1 after the last step, in points, paired over seeds",
            [
                "arm − baseline or control" if results.get("baseline") else "arm − control",
                "mean",
                "95 % interval",
                "beyond seed noise?",
            ],
            _under_budgets(differences, _difference),
            numbers=(1, 2),
        )
    show_race(results)


def _in_order(results: Mapping[str, Any], part: str) -> list[Mapping[str, Any]]:
    """Rows from few images to many, and by arm in the usual order."""
    from limbeck.report.controls import arm_order

    order = arm_order(dict(results))
    budgets = list(dict.fromkeys(row["budget"] for row in sorted(results["table"], key=lambda row: row["images"])))
    return sorted(results[part], key=lambda row: (budgets.index(row["budget"]), order[row["arm"]]))


def _arm(row: Mapping[str, Any]) -> str:
    return f"{row['arm']}{' *' if row['control'] else ''}"


def _costs(row: Mapping[str, Any]) -> list[str]:
    """Teacher passes and those saved, seconds and those of making, where they were counted, and energy."""
    from limbeck.cost import RunCost

    cost = RunCost.from_dict(row)
    total = cost.total
    return [
        short_count(total.teacher_passes),
        short_count(total.passes_saved),
        _seconds(total.seconds),
        "–" if cost.making is None else _seconds(cost.making.seconds),
        watt_hours(total.kwh),
    ]


def _seconds(value: float) -> str:
    return f"{value:,.{0 if value >= 100 else 1}f}"


def watt_hours(kwh: float) -> str:
    """Two significant digits, or all before the point; a dash for energy that was not counted."""
    energy = 1000 * kwh
    return f"{energy:,.0f}" if energy >= 100 else f"{energy:.2g}" if energy else "–"


def _under_budgets(rows: Sequence[Mapping[str, Any]], cells: Callable[[Any], list[str]]) -> list[list[str]]:
    """Rows of cells below a heading for each budget."""
    shown = []
    for budget, same in groupby(rows, key=lambda row: row["budget"]):
        shown.append([f"{budget} images" if budget == "all" else budget])
        for row in same:
            first, *others = cells(row)
            shown.append([f"  {first}", *others])
    return shown


def _difference(row: Mapping[str, Any]) -> list[str]:
    interval = "–" if row["low"] is None else f"{100 * row['low']:+.2f} to {100 * row['high']:+.2f}"
    verdict = "one seed cannot tell" if row["n"] < 2 else "yes" if row["beyond_noise"] else "no"
    return [f"{row['arm']} − {row['against']}", f"{100 * row['mean']:+.2f}", interval, verdict]


def short_count(value: float) -> str:
    """A count in at most seven characters: "64,000", "2.3 M"."""
    return f"{value:,.0f}" if value < 1e6 else f"{value / 1e6:,.1f} M"


def show_run(result: Any) -> None:
    """The metrics of one run."""
    rows = []
    for which, metrics in (("last step", result.evaluation), ("validation-chosen", result.evaluation_chosen)):
        if metrics is not None:
            agreement = metrics.fidelity["agreement"] if metrics.fidelity else None
            rows.append([which, *_metrics(metrics), percent(agreement)])
    header = ["student", "top-1 %", "top-5 %", "NLL", "ECE %", "agrees with\nteacher %"]
    if rows:
        show_table(f"on the {result.evaluation.n:,} test images", header, rows, numbers=range(1, 6))
    else:
        console.print("no test images (`data.test`) to judge the student on")
    if result.validation and result.validation["measure"] == "agreement":
        validation = result.validation
        console.print(
            f"agrees with the teacher on {percent(validation['last'])} % of {validation['images']:,} validation images "
            f"after the last step, {percent(validation['best'])} % after step {validation['best_step']:,}"
        )
    from limbeck.cost import RunCost

    cost = RunCost.from_dict(result.cost)
    total, share = cost.total, cost.share("seconds")
    saved = f" ({total.passes_saved:,} of them from the view cache)" if total.passes_saved else ""
    making = f" ({100 * share:.0f} % making the transfer set)" if share else ""
    console.print(
        f"{result.cost['images']:,} images, {total.teacher_passes:,} teacher passes{saved}, "
        f"{total.seconds:.0f} s{making}, {watt_hours(total.kwh)} Wh ({'measured' if total.measured else 'estimated'})"
    )


def show_evaluation(metrics: Any) -> None:
    rows = [[f"{metrics.n:,}", *_metrics(metrics)]]
    show_table("evaluation", ["images", "top-1 %", "top-5 %", "NLL", "ECE %"], rows, numbers=range(5))
    if metrics.fidelity:
        fidelity = metrics.fidelity
        console.print(
            f"teacher {percent(fidelity['teacher_top1'])} %, agreement {percent(fidelity['agreement'])} %, "
            f"divergence {fidelity['divergence']:.4f} nats"
        )
    show_table(
        "per class",
        ["class", "images", "top-1 %"],
        [[c["class"], str(c["n"]), percent(c["top1"])] for c in metrics.per_class],
        numbers=(1, 2),
    )


def show_probes(rows: Sequence[Mapping[str, Any]]) -> None:
    """What heads on frozen networks reached, data set by data set."""
    from limbeck.evaluation.statistics import mean_interval

    for data, group in groupby(rows, key=lambda row: row["on"]):
        same = list(group)
        shown = [
            [
                row["name"],
                percent(*mean_interval(row["top1"])),
                percent(*mean_interval(row["top5"])) if row["top5"] else "–",
                ", ".join(dict.fromkeys(f"{strength:.1e}" for strength in row["strengths"])) or "–",
                f"{sum(row['seconds'].values()):.1f}",
            ]
            for row in same
        ]
        height, width = same[0]["size"]
        title = f"{data}: {same[0]['images']:,} training, {same[0]['n']:,} test images of {height}x{width} pixels"
        header = ["frozen network", "top-1 %", "top-5 %", "strength", "s"]
        show_table(title, header, shown, numbers=(1, 2, 4))


def _metrics(metrics: Any) -> list[str]:
    return [percent(metrics.top1), percent(metrics.top5), f"{metrics.nll:.4f}", percent(metrics.ece)]
