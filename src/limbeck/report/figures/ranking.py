"""Arms that learned from equally many images, one below the other: accuracy and what it cost."""

from typing import Any

import altair as alt

from limbeck.report import formats
from limbeck.report.controls import arm_order
from limbeck.report.figures import frontier, style

Row = dict[str, Any]
COSTS = {cost: words for cost, words in frontier.COSTS.items() if cost != "images"}
_ROW = 26  # pixels


def ranking_svg(results: Row) -> str:
    """`ranking` as SVG with a white background, for a README or a paper."""
    from limbeck.report.vega import specification, svg

    chart = ranking(results, style.arms(results))
    return svg(specification(chart, ink=style.PAPER_INK, background="white") | {"width": 520}, "arms")


def ranking(results: Row, styles: dict[str, style.Arm]) -> alt.LayerChart:
    """Top-1 accuracy of every arm, in the order of the recipe: mean, 95 % interval and single seeds, unstyled.

    Args:
        results: the content of results.json of a comparison without budgets, or with one.
        styles: how each arm is drawn.
    """
    means = _means(results)
    seeds = [
        {"arm": run["arm"], "top1": run["last"], "seed": run["seed"], "accuracy": formats.percent(run["last"], 2)}
        for run in results["runs"]
        if formats.is_number(run.get("last")) and run["arm"] in {row["arm"] for row in means}
    ]
    domain = style.padded_share(
        [row[key] for row in means for key in ("mean", "low", "high")] + [s["top1"] for s in seeds]
    )
    x = alt.X(
        "mean:Q",
        title="top-1 accuracy on the test set",
        scale=alt.Scale(domain=domain, nice=False, zero=False),
        axis=alt.Axis(tickCount=6, format="~%"),
    )
    colour = style.colours(styles)
    mean = alt.Chart(style.values(means)).encode(y=_arms(means, styles), color=colour)
    dots = alt.Chart(style.values(seeds)).mark_point(filled=True, size=20, opacity=0.45, yOffset=6)
    tooltip = [alt.Tooltip(f"{key}:N") for key in ("arm", "accuracy", "n")]
    seed_tooltip = [alt.Tooltip(f"{key}:N") for key in ("arm", "seed", "accuracy")]
    layers = [
        mean.mark_rule(strokeWidth=1.5).encode(x=alt.X("low:Q"), x2=alt.X2("high:Q")),
        dots.encode(x=alt.X("top1:Q"), y=_arms(means, styles), color=colour, tooltip=seed_tooltip),
        mean.mark_point(filled=True, size=70, opacity=1).encode(x=x, tooltip=tooltip),
    ]
    return alt.LayerChart(layer=layers, height=_ROW * len(means))


def cost_bars(results: Row, cost: str, styles: dict[str, style.Arm]) -> alt.LayerChart:
    """One of `COSTS` per run, in the order of `ranking`."""
    order = _means(results)
    spent = {row["arm"]: frontier.spent(row, row["images"], cost) for row in results["table"]}
    rows = [{"arm": row["arm"], "x": spent[row["arm"]]} for row in order]
    words = "format(datum.value, datum.value < 10000 ? ',~f' : '~s')"
    axis = alt.Axis(tickCount=4, labelExpr=words, labelOverlap=True)
    bars = (
        alt.Chart(style.values(rows))
        .mark_bar(height=8)
        .encode(
            x=alt.X("x:Q", title=COSTS[cost], axis=axis),
            y=_arms(order, styles),
            color=style.colours(styles),
            tooltip=[alt.Tooltip("arm:N"), alt.Tooltip("x:Q", format=",.4~g", title=COSTS[cost])],
        )
    )
    return alt.LayerChart(layer=[bars], height=_ROW * len(rows))


def _means(results: Row) -> list[Row]:
    """One row per arm, in order."""
    rows, order = [], arm_order(results)
    for row in sorted(results["table"], key=lambda row: order[row["arm"]]):
        half = row["half_width"] if formats.is_number(row["half_width"]) else None
        interval = (None, None) if half is None else tuple(style.within(row["mean"] + end) for end in (-half, half))
        entry = {"arm": row["arm"], "n": row["n"], "mean": row["mean"], "low": interval[0], "high": interval[1]}
        rows.append({**entry, "accuracy": formats.spread(row["mean"], half)})
    return rows


def _arms(means: list[Row], styles: dict[str, style.Arm]) -> alt.Y:
    axis = alt.Axis(grid=True, ticks=False, domain=False, labelLimit=180, labelExpr=style.label_words(styles))
    return alt.Y("arm:N", sort=[row["arm"] for row in means], title=None, axis=axis)
