"""The frontier: accuracy against what it cost, every arm beside its controls."""

import json
from typing import Any

import altair as alt

from limbeck.cost import RunCost
from limbeck.report import formats
from limbeck.report.controls import Controls
from limbeck.report.figures import style

Row = dict[str, Any]
COSTS = {
    "images": "images taught on",
    "real_images": "real images of the task needed",
    "teacher_passes": "teacher passes",
    "seconds": "seconds",
    "energy_kwh": "energy (Wh)",
}
_LINE, _PAPER_WIDTH = 14, 620  # pixels: between two lines of text; of the picture


def frontier_chart(results: Row) -> alt.LayerChart:
    """Top-1 accuracy against images: mean, 95 % interval and single seeds; teacher and full data as rules.

    Args:
        results: the content of results.json of a comparison.
    """
    look = style.look(ink=style.PAPER_INK, background="white")
    return _on_paper(results).properties(width=_PAPER_WIDTH, config=alt.Config(**look))


def frontier_svg(results: Row) -> str:
    """`frontier_chart` as SVG with a white background, for a README or a paper."""
    from limbeck.report.vega import specification, svg

    spec = specification(_on_paper(results), ink=style.PAPER_INK, background="white")
    return svg(spec | {"width": _PAPER_WIDTH}, "frontier")


def _on_paper(results: Row) -> alt.LayerChart:
    return frontier(results, ink=style.PAPER_INK, legend=True, height=360)


def frontier(
    results: Row,
    cost: str = "images",
    *,
    styles: dict[str, style.Arm] | None = None,
    ink: str = style.PAGE_INK,
    legend: bool = False,
    height: int = 340,
) -> alt.LayerChart:
    """The frontier against one of `COSTS`, unstyled; only the one against images names its rules.

    Args:
        results: the content of results.json.
        cost: one of `COSTS`.
        styles: how each arm is drawn; by default as `style.arms` says.
        ink: colour of text.
        legend: whether the chart has one.
        height: in pixels.
    """
    main = cost == "images"
    means, seeds, rules = _means(results, cost), _seeds(results, cost), _rules(results)
    full = Controls.of(results).full
    styles = {name: arm for name, arm in (styles or style.arms(results)).items() if name not in full}
    heights = [row[key] for row in means for key in ("mean", "low", "high")] + [row["top1"] for row in seeds + rules]
    domain = style.padded_share(heights)
    labels = _labels(rules, height / (domain[1] - domain[0])) if main else []
    if labels:
        room = (labels[0]["lines"] * _LINE + 4) / height
        domain[1] = min(max(domain[1], (rules[0]["top1"] - room * domain[0]) / (1 - room)), 1.0)
    scale = (style.count_scale if cost == "real_images" else style.cost_scale)(row["x"] for row in means + seeds)
    x = alt.X("x:Q", scale=scale, title=COSTS[cost], axis=_axis(means, cost))
    y = alt.Y(
        "mean:Q",
        scale=alt.Scale(domain=domain, nice=False, zero=False),
        title="top-1 accuracy on the test set" if main else None,
        axis=alt.Axis(tickCount=6, format="~%"),
    )
    layers = _rule_layers(rules, labels, ink)
    # Against images, where arms share their budgets, each arm has layers of its own, moved by some pixels.
    groups = [[arm] for arm in styles] if main else [list(styles)]
    for place, group in enumerate(groups):
        arm_means, arm_seeds = ([row for arm in group for row in rows if row["arm"] == arm] for rows in (means, seeds))
        layers += _arm_layers(
            arm_means, arm_seeds, x, y, styles, offset=(place - (len(groups) - 1) / 2) * 5, legend=legend
        )
    return alt.LayerChart(layer=layers, height=height)


def has_cost(results: Row, cost: str) -> bool:
    """Whether any arm has a positive `cost`; for real images, one that differs from the images it is taught on."""
    rows = _means(results, cost)
    same = cost == "real_images" and all(row["x"] == row["images"] for row in rows)
    return not same and any(row["x"] > 0 for row in rows)


def _means(results: Row, cost: str) -> list[Row]:
    rows, full = [], Controls.of(results).full
    for row in sorted(results["table"], key=lambda row: row["images"]):
        x = spent(row, row["images"], cost)
        if row["arm"] in full or not formats.is_number(row["mean"]) or x is None:
            continue
        half = row["half_width"] if formats.is_number(row["half_width"]) else None
        rows.append(
            {
                "arm": row["arm"],
                "x": x,
                "images": row["images"],
                "mean": row["mean"],
                "low": None if half is None else style.within(row["mean"] - half),
                "high": None if half is None else style.within(row["mean"] + half),
                "budget": str(row["budget"]),
                "accuracy": formats.spread(row["mean"], half),
                "n": row["n"],
            }
        )
    return rows


def _seeds(results: Row, cost: str) -> list[Row]:
    seeds, full = [], Controls.of(results).full
    shown = {(row["arm"], row["budget"]) for row in results["table"]}
    for run in results["runs"]:
        drawn = (run["arm"], run["budget"]) in shown and formats.is_number(run.get("last"))
        x = spent(run.get("cost"), run["images"], cost) if drawn else None
        if run["arm"] not in full and x is not None:
            seed = {"arm": run["arm"], "x": x, "top1": run["last"], "seed": run["seed"]}
            seeds.append(seed | {"accuracy": formats.percent(run["last"], 2), "budget": str(run["budget"])})
    return seeds


def spent(content: Row | None, images: int, cost: str) -> float | None:
    """One of `COSTS`, of making and teaching together; None where it is not known."""
    run_cost = RunCost.from_dict(content)
    total = run_cost.total
    return {
        "images": images,
        "real_images": run_cost.real_images,
        "teacher_passes": total.teacher_passes,
        "seconds": total.seconds,
        "energy_kwh": total.kwh * 1000,
    }[cost]


def _rules(results: Row) -> list[Row]:
    teacher = results.get("teacher") or {}
    accuracies = {"teacher": (teacher.get("evaluation") or {}).get("top1")}
    controls = Controls.of(results)
    accuracies |= {controls.label(row["arm"]): row["mean"] for row in results["table"] if row["arm"] in controls.full}
    rows = [{"label": f"{label} {formats.percent(top1)}", "top1": top1} for label, top1 in accuracies.items()]
    return sorted((row for row in rows if formats.is_number(row["top1"])), key=lambda row: -row["top1"])


def _labels(rules: list[Row], pixels: float) -> list[Row]:
    """One label above each rule; rules too close for that share one of several lines, in the order of the rules.

    Args:
        rules: from high to low.
        pixels: height of one unit of accuracy.
    """
    labels: list[Row] = []
    for i, rule in enumerate(rules):
        if i and (rules[i - 1]["top1"] - rule["top1"]) * pixels < _LINE + 4:
            labels[-1]["label"] += f"\n{rule['label']}"
            labels[-1]["lines"] += 1
        else:
            labels.append({**rule, "lines": 1})
    return labels


def _rule_layers(rules: list[Row], labels: list[Row], ink: str) -> list[alt.Chart]:
    """Labels sit at the left, where a frontier is low."""
    height = alt.Y("top1:Q")
    lines = alt.Chart(style.values(rules)).mark_rule(color=style.RULE, strokeWidth=1.25, opacity=0.9)
    layers = [lines.encode(y=height, tooltip=alt.Tooltip("label:N"))] if rules else []
    for label in labels:
        rise = -4 - (label["lines"] - 1) * _LINE  # lines are laid downwards from the first
        words = alt.Chart(style.values([label])).mark_text(
            align="left", dx=5, dy=rise, baseline="bottom", fontSize=11, lineHeight=_LINE, lineBreak="\n", color=ink
        )
        layers.append(words.encode(y=height, text=alt.Text("label:N"), x=alt.value(0)))
    return layers


def _axis(means: list[Row], cost: str) -> alt.Axis:
    """Ticks at the budgets, each with its name under the count."""
    if cost == "real_images":
        counts = sorted({row["x"] for row in means})
        return alt.Axis(grid=False, values=counts, format=",~f", labelOverlap=True)
    if cost != "images":
        words = "datum.value < 0 ? '' : format(datum.value, datum.value < 10000 ? ',~f' : '~s')"
        return alt.Axis(grid=False, tickCount=4, labelExpr=words, labelOverlap=True)
    names = {_number(row["x"]): row["budget"] for row in means if row["budget"] != _number(row["x"])}
    words = f"[format(datum.value, ','), {json.dumps(names)}[datum.value] || '']"
    return alt.Axis(grid=False, values=sorted({row["x"] for row in means}), labelExpr=words, labelOverlap=True)


def _number(value: float) -> str:
    """As JavaScript writes it, which looks names up by it: 1024933, not 1.02493e+06."""
    return str(int(value)) if value == int(value) else repr(value)


def _legend(styles: dict[str, style.Arm]) -> alt.Legend:
    words = style.label_words(styles)
    return alt.Legend(orient="bottom", columns=4, symbolType="stroke", symbolSize=700, symbolOpacity=1, labelExpr=words)


def _arm_layers(
    means: list[Row],
    seeds: list[Row],
    x: alt.X,
    y: alt.Y,
    styles: dict[str, style.Arm],
    *,
    offset: float,
    legend: bool,
) -> list[alt.Chart]:
    """Lines, intervals, single seeds and means of arms, all moved by an offset in pixels."""
    key = _legend(styles) if legend else None
    strokes = alt.Scale(domain=list(styles), range=[list(arm.dash) for arm in styles.values()])
    dashes = alt.StrokeDash("arm:N", scale=strokes, legend=key, title=None)
    colour = style.colours(styles, key)
    mean = alt.Chart(style.values(means)).encode(x=x, y=y, color=colour)
    tooltip = [alt.Tooltip(f"{key}:N") for key in ("arm", "budget", "accuracy", "n")]
    seed_tooltip = [alt.Tooltip(f"{key}:N") for key in ("arm", "budget", "seed", "accuracy")]
    dots = alt.Chart(style.values(seeds)).mark_point(filled=True, size=20, opacity=0.45, xOffset=offset)
    return [
        mean.mark_line(strokeWidth=2, xOffset=offset).encode(strokeDash=dashes),
        mean.mark_rule(strokeWidth=1.5, xOffset=offset).encode(y=alt.Y("low:Q"), y2=alt.Y2("high:Q")),
        dots.encode(x=x, y=alt.Y("top1:Q"), color=colour, tooltip=seed_tooltip),
        mean.mark_point(filled=True, size=60, opacity=1, xOffset=offset).encode(tooltip=tooltip),
    ]
