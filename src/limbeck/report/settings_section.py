"""Accuracy against a setting: a curve where three arms or more differ in one number and in nothing else."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from limbeck.report import formats, reading
from limbeck.report.blocks import Block, Chart, Grid, Note, Section
from limbeck.report.figures.settings import setting_curves
from limbeck.report.vega import figure
from limbeck.signatures import is_int_or_float

Row = dict[str, Any]
FEWEST = 3  # values of a curve
_SHARED = ("objective", "student", "training")  # that arms may change
_MAKER = "transfer."


@dataclass(frozen=True)
class Sweep:
    """Arms that differ in one number alone.

    Attributes:
        setting: its name, with dots.
        arms: value -> arm, ascending.
        rest: all other settings, which these arms share.
    """

    setting: str
    arms: Mapping[float, str]
    rest: Mapping[str, Any]


def settings_section(folder: Path, results: Row) -> Section | None:
    """A chart for each setting and budget; None where no three arms differ in one number alone."""
    text = reading.text_file(folder / "recipe.yaml")
    try:
        recipe = yaml.safe_load(text or "")
        curves = sweeps(recipe) if isinstance(recipe, Mapping) else []
    except (yaml.YAMLError, TypeError, AttributeError):  # of another version, or edited
        curves = []
    budgets = list(dict.fromkeys(row["budget"] for row in sorted(results["table"], key=lambda row: row["images"])))
    charts: list[Chart] = []
    for setting, budget in product(dict.fromkeys(sweep.setting for sweep in curves), budgets):
        of_setting = [sweep for sweep in curves if sweep.setting == setting]
        charts += _chart(results, of_setting, budget, f"setting-{len(charts)}")
    if not charts:
        return None
    words = (
        "Arms of a line differ in this number and in nothing else. Large dots are means over seeds, bars their 95 % "
        "interval, small dots single seeds. A peak that is lower than its bars are long is seed noise."
    )
    drawn: list[Block] = [Grid(charts)] if len(charts) > 1 else list(charts)
    return Section("settings", "Settings", [*drawn, Note(words)])


def sweeps(recipe: Mapping[str, Any]) -> list[Sweep]:
    """All groups of arms of a recipe that differ in one number alone, of which there are three values or more."""
    compare = recipe.get("compare") or {}
    shared = {key: recipe.get(key) for key in _SHARED}
    arms = {str(name): _settings_of(shared, arm or {}) for name, arm in (compare.get("arms") or {}).items()}
    curves: list[Sweep] = []
    for setting in dict.fromkeys(
        key for settings in arms.values() for key, value in settings.items() if is_int_or_float(value)
    ):
        groups: dict[str, Sweep] = {}
        for name, settings in arms.items():
            if is_int_or_float(settings.get(setting)):
                rest = {key: value for key, value in settings.items() if key != setting}
                group = groups.setdefault(repr(sorted(rest.items())), Sweep(setting, {}, rest))
                groups[repr(sorted(rest.items()))] = Sweep(setting, {**group.arms, settings[setting]: name}, rest)
        curves += [sweep for sweep in groups.values() if len(sweep.arms) >= FEWEST]
    return [Sweep(sweep.setting, dict(sorted(sweep.arms.items())), sweep.rest) for sweep in curves]


def _settings_of(shared: Mapping[str, Any], arm: Mapping[str, Any]) -> dict[str, Any]:
    """Every setting of an arm by its name with dots; it changes single settings of training, and whole other parts."""
    training = {**(shared.get("training") or {}), **(arm.get("training") or {})}
    own = {key: value for key, value in arm.items() if value is not None}
    return dict(_flat({**shared, **own, "training": training}))


def _flat(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(tree, Mapping) and tree:
        for key, value in tree.items():
            yield from _flat(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, tree if isinstance(tree, str | int | float | bool | None) else repr(tree)


def _chart(results: Row, some: Sequence[Sweep], budget: str, key: str) -> list[Chart]:
    names = _names(some)
    means, seeds = [], []
    for sweep, line in zip(some, names, strict=True):
        value_of = {arm: value for value, arm in sweep.arms.items()}
        rows = [row for row in results["table"] if row["budget"] == budget and row["arm"] in value_of]
        if len(rows) < FEWEST:
            continue
        means += [_mean({"line": line, "x": value_of[row["arm"]]}, row) for row in rows]
        seeds += [
            {"line": line, "x": value_of[run["arm"]], "top1": run["last"], "arm": run["arm"], "seed": run["seed"]}
            | {"accuracy": formats.percent(run["last"], 2)}
            for run in reading.compared_runs(results)
            if run["budget"] == budget and run["arm"] in value_of and formats.is_number(run.get("last"))
        ]
    if not means:
        return []
    setting = some[0].setting.removeprefix(_MAKER)
    means.sort(key=lambda row: row["x"])
    title = f"{setting}{formats.at(budget)}"
    chart = setting_curves(means, seeds, setting)
    drawn = figure(chart, key, f"Test accuracy against {title}", width=450)
    return [Chart(drawn, title, _span(means))]


def _mean(place: Row, row: Row) -> Row:
    half = row["half_width"] if formats.is_number(row["half_width"]) else None
    ends = {"low": None, "high": None} if half is None else {"low": row["mean"] - half, "high": row["mean"] + half}
    shown = {"arm": row["arm"], "n": row["n"], "accuracy": formats.spread(row["mean"], half)}
    return {**place, "mean": row["mean"], **ends, **shown}


def _names(some: Sequence[Sweep]) -> list[str]:
    """A name for each line, from the settings in which lines differ."""
    keys = dict.fromkeys(key for sweep in some for key in sweep.rest)
    apart = [key for key in keys if len({repr(sweep.rest.get(key)) for sweep in some}) > 1]
    return [
        ", ".join(f"{key.removeprefix(_MAKER)} {_word(sweep.rest.get(key))}" for key in apart) or sweep.setting
        for sweep in some
    ]


def _word(value: Any) -> str:
    return "none" if value is None else str(value)


def _span(means: Sequence[Row]) -> str:
    """How far apart the means of each line are, beside what seeds alone do."""
    lines = dict.fromkeys(row["line"] for row in means)
    spans = [[row["mean"] for row in means if row["line"] == line] for line in lines]
    widest = max(max(span) - min(span) for span in spans)
    halves = [row["high"] - row["mean"] for row in means if row["high"] is not None]
    words = f"Means are within {formats.points(widest, signed=False)} points of one another"
    return (
        f"{words}, intervals up to ± {formats.points(max(halves), signed=False)}." if halves else f"{words}; one seed."
    )
