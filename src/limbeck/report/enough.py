"""How little data is enough, in sentences: what every arm needs to come near the full data, and which needs least."""

from typing import Any

from limbeck.report import formats
from limbeck.report.controls import Controls

Row = dict[str, Any]
MOST_NAMED = 6
MOST_SEEDS = 100


def enough_sentences(results: Row) -> list[str]:
    """The answer of a comparison with budgets: images needed, how sure the best arm is, costs, and seeds still needed.

    Nothing for results without `enough`, as of comparisons without budgets and of earlier versions.

    Args:
        results: the content of results.json.
    """
    answer = results.get("enough")
    controls = Controls.of(results)
    if not answer:
        return _unknown(results, controls) if "enough" in results else []
    rows = in_order(answer)
    sentences = [_needed(answer, rows, controls), _pays(answer, controls), _costs(results, answer, rows, controls)]
    return [
        sentence
        for sentence in (*sentences, _seeds(rows, controls), _other_students(answer, rows, controls))
        if sentence
    ]


def _other_students(found: Row, rows: list[Row], controls: Controls) -> str:
    """Which arms teach another student than the one that they are compared with."""
    arms = [row["arm"] for row in rows if row["arm"] in found.get("other_students", ())]
    if not arms or not found["reference"]["images"]:
        return ""
    teach, they = ("teaches", "it needs") if len(arms) == 1 else ("teach", "they need")
    named, other = formats.listing(map(controls.label, arms)), controls.label(found["reference"]["name"])
    return f"{named} {teach} another student than {other} does, so what {they} tells of the student, too"


def _unknown(results: Row, controls: Controls) -> list[str]:
    """Says that arms have no reference yet, because every run on the full data failed or has not begun."""
    finished = {run["arm"] for run in results["runs"] if run["state"] == "finished"}
    planned = {run["arm"] for run in results["runs"]}
    full = [name for name in controls.full if name in planned and (control := controls.get(name)) and control.teacher]
    if not full or full[0] in finished or not finished:
        return []
    return [f"How little is enough cannot be told before a run of {controls.label(full[0])} has finished"]


def in_order(found: Row) -> list[Row]:
    """Arms that need the fewest images first, of equals the most accurate; those for which no budget is enough last."""
    best = (found["fewest"] or {}).get("arm")
    return sorted(
        found["arms"],
        key=lambda row: (row["images"] is None, row["images"] or -row["most"], row["arm"] != best),
    )


def points(margin: float) -> str:
    """'1 point', '0.5 points'.

    Example:
        >>> points(0.01), points(0.025)
        ('1 point', '2.5 points')
    """
    return f"{100 * margin:.4g} point{'' if round(100 * margin, 6) == 1 else 's'}"


def reference(found: Row, controls: Controls) -> str:
    """What the arms are compared with, in words."""
    against = found["reference"]
    parts = [formats.plural(against["images"], "image")] if against["images"] else []
    name = "the teacher" if against["name"] == "teacher" else controls.label(against["name"])
    return f"{name} ({', '.join([*parts, formats.percent(against['mean'])])})"


def images(row: Row) -> str:
    """The images that are enough: 'about 120', 'at most 50', 'more than 300'."""
    if row["images"] is None:
        return f"more than {formats.number(row['most'])}"
    return f"{'at most' if row['at_most'] else 'about'} {count(row['images'], row)}"


def count(value: float, row: Row) -> str:
    """Two significant digits of an interpolated number, all digits of a budget."""
    return formats.number(value if value in (row["least"], row["most"]) else float(f"{value:.2g}"))


def interval(row: Row) -> str:
    """Both ends of the interval, '' for a single seed."""
    if row["n"] < 2:
        return ""
    low = f"below {formats.number(row['least'])}" if row["low"] is None else count(row["low"], row)
    high = f"above {formats.number(row['most'])}" if row["high"] is None else count(row["high"], row)
    if row["low"] == row["most"]:
        return high
    return low if row["high"] == row["least"] else f"{low} to {high}"


def more_seeds(needed: int | None, n: int) -> str:
    """'about 9 more', 'more than 100 more', '' where nothing sensible can be said."""
    if needed is None:
        return ""
    return f"about {needed - n} more" if needed - n <= MOST_SEEDS else f"more than {MOST_SEEDS} more"


def would_tell(needed: int | None, n: int) -> str:
    """'about 9 more seeds would tell', '' where nothing sensible can be said."""
    more = more_seeds(needed, n)
    return f"{more} {'seed' if needed == n + 1 else 'seeds'} would tell" if more else ""


def _needed(found: Row, rows: list[Row], controls: Controls) -> str:
    goal = f"To come within {points(found['margin'])} of {reference(found, controls)}"
    if not found["margin"]:
        goal = f"To be as good as {reference(found, controls)}"
    if len(rows) > MOST_NAMED:
        return f"{goal}, {_ends(rows, controls)}{_of_seeds(rows)}"
    words = [_words(row, controls, "" if place else "needs", not place) for place, row in enumerate(rows)]
    return f"{goal}, {formats.listing(words)}{_of_seeds(rows)}"


def _ends(rows: list[Row], controls: Controls) -> str:
    """How many arms reach the goal, the one that needs fewest images, and the user's first if that one is a control."""
    reached = [row for row in rows if row["images"] is not None]
    most = formats.number(max(row["most"] for row in rows))
    if not reached:
        return f"{most} images are too few for the mean of any of {len(rows)} arms"
    named = reached[:1] + [row for row in reached[1:] if not row["control"]][: reached[0]["control"]]
    words = [_words(row, controls, "", not place) for place, row in enumerate(named)]
    own = f", and of those that are no controls {words[1]}" if len(words) > 1 else ""
    needs = "needs" if len(reached) == 1 else "need"
    return f"{len(reached)} of {len(rows)} arms {needs} at most {most} images, the fewest of all {words[0]}{own}"


def _words(row: Row, controls: Controls, verb: str, named: bool) -> str:
    """An arm, its images and its interval; the first of a list also says that it is a 95 % interval."""
    inside = interval(row)
    brackets = f" ({'95 % interval ' if named else ''}{inside})" if inside else ""
    noun = " images" if named else ""
    return " ".join(filter(None, (controls.label(row["arm"]), verb, f"{images(row)}{noun}{brackets}")))


def _of_seeds(rows: list[Row]) -> str:
    seeds = sorted({row["n"] for row in rows})
    words = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    unknown = ", so seed noise is unknown" if seeds[-1] == 1 else ""
    return f"; n = {words} {'seed' if seeds[-1] == 1 else 'seeds'}{unknown}"


def _costs(results: Row, found: Row, rows: list[Row], controls: Controls) -> str:
    """What a run of the arm that needs the fewest images costs, and one on the full data."""
    best = rows[0]
    if best["images"] is None:
        return ""
    full = next((row for row in results["table"] if row["arm"] == found["reference"]["name"]), None)
    beside = "" if full is None else f"; one on {controls.label(full['arm'])}, {cost(full)}"
    return f"A run of {controls.label(best['arm'])} with so few takes {cost(best['costs']['images'])}{beside}"


def cost(row: Row) -> str:
    """Teacher passes, time and energy."""
    parts = [f"{formats.number(row['teacher_passes'])} teacher passes", formats.duration(row["seconds"])]
    return formats.listing([*parts, formats.energy(row["energy_kwh"])] if row["energy_kwh"] else parts)


def _pays(found: Row, controls: Controls) -> str:
    """Whether the arm that needs the fewest images does so beyond seed noise."""
    best = found["fewest"]
    if best is None:
        return ""
    against = [row for row in best["against"] if row["p"] is not None]
    if not against:
        return ""
    beyond = [controls.label(row["arm"]) for row in against if row["beyond_noise"]]
    within = [row for row in against if not row["beyond_noise"]]
    clauses = [f"beyond seed noise against {formats.listing(beyond)}"] if beyond else []
    if within:
        few = len(within) <= MOST_NAMED
        words = formats.listing(_named(row, controls) for row in within) if few else f"{len(within)} others"
        clauses.append(f"within {'it' if beyond else 'seed noise'} against {words}")
    corrected = f", by Holm's correction over {best['tests']} pairs of arms" if best["tests"] > 1 else ""
    return f"That {controls.label(best['arm'])} needs the fewest is {' and '.join(clauses)}{corrected}"


def _named(row: Row, controls: Controls) -> str:
    """An arm with the number of seeds that would tell it from the best."""
    more = would_tell(row["seeds_needed"], row["n"])
    return controls.label(row["arm"]) + (f" ({more})" if more else "")


def _seeds(rows: list[Row], controls: Controls) -> str:
    """How many more seeds would tell whether the largest budget is enough."""
    lacking = [row for row in rows if row["seeds_needed"] is not None]
    if not lacking:
        return ""
    named = lacking[: MOST_NAMED // 2] if len(rows) > MOST_NAMED else lacking
    words = [f"{more_seeds(row['seeds_needed'], row['n'])} for {controls.label(row['arm'])}" for row in named]
    budgets = sorted({row["most"] for row in lacking})
    what = f"{formats.number(budgets[0])} images are" if len(budgets) == 1 else "the largest budget is"
    others = len(lacking) - len(named)
    rest = f", more in the table for {others} other{'s' if others > 1 else ''}" if others else ""
    return f"Seeds it would take to tell whether {what} enough: {formats.listing(words)}{rest}"
