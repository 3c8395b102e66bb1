"""What a comparison found, said honestly: which arm, against which control, at which budget, by how much."""

from collections import Counter
from typing import Any

from limbeck.report import formats
from limbeck.report.controls import Controls
from limbeck.report.enough import enough_sentences, would_tell
from limbeck.report.reading import many_arms

Row = dict[str, Any]
_BEYOND = ("better", "worse")
MOST_IN_LEAD = 3  # arms that have a sentence each
MOST_NAMED = 6


def verdict(row: Row) -> str:
    """One difference in a few words: 'better', 'worse', 'within seed noise' or 'one seed only'."""
    if row["n"] < 2:
        return "one seed only"
    if not row["beyond_noise"]:
        return "within seed noise"
    return "better" if row["mean"] > 0 else "worse"


def unequal(row: Row) -> str:
    """', not at equal images but 45 against 192' for arms whose numbers of images differ at one budget, else ''.

    Example:
        >>> unequal({"images": 45, "images_against": 192})
        ', not at equal images but 45 against 192'
    """
    against = row.get("images_against")
    return f", not at equal images but {row['images']:,} against {against:,}" if against else ""


def difference(row: Row, controls: Controls) -> str:
    """One difference as a sentence with its interval.

    Example:
        >>> row = {"arm": "entropy", "against": "random", "budget": "10 %", "n": 3, "mean": 0.013,
        ...        "low": 0.006, "high": 0.02, "beyond_noise": True}
        >>> difference(row, Controls([]))
        'entropy is 1.3 points above random at 10 % (95 % interval 0.6 to 2.0, n = 3 seeds), beyond seed noise'
    """
    outcome = verdict(row)
    arms = f"{row['arm']} is {_distance(row)} {controls.label(row['against'])}"
    start = f"{arms}{formats.at(row['budget'])}{unequal(row)}"
    if outcome == "one seed only":
        return f"{start} with a single seed (n = 1), so seed noise is unknown"
    noise = "within seed noise" if outcome == "within seed noise" else "beyond seed noise"
    rest = f"{_corrected([row])}{_more_seeds(row)}"
    return f"{start} (95 % interval {interval(row)}, n = {formats.plural(row['n'], 'seed')}), {noise}{rest}"


def _corrected(rows: list[Row]) -> str:
    """For how many arms differences were corrected; '' for those that were not."""
    tests = sorted({row["tests"] for row in rows if row.get("tests", 1) > 1})
    if not tests:
        return ""
    return f", by Holm's correction over {tests[0]}{f' to {tests[-1]}' if len(tests) > 1 else ''} arms"


def _more_seeds(row: Row) -> str:
    """The seeds that would tell a difference within seed noise; '' where nothing sensible can be said."""
    words = would_tell(row.get("seeds_needed"), row["n"])
    return f", {words}" if words else ""


def deciding(results: Row) -> dict[tuple[str, str], Row]:
    """By arm and budget, the difference that decides its verdict: to the control that suits it, or the strictest."""
    decisive: dict[tuple[str, str], Row] = {}
    controls = Controls.of(results)
    for arm in dict.fromkeys(row["arm"] for row in results["differences"]):
        for control in controls.strictest(results.get("baseline"), arm=arm):
            for row in results["differences"]:
                if (row["arm"], row["against"]) == (arm, control):
                    decisive.setdefault((arm, row["budget"]), row)
    return decisive


def interval(row: Row) -> str:
    """Both ends of the interval in points, or a dash."""
    if row["low"] is None or row["high"] is None:
        return formats.ABSENT
    return f"{formats.points(row['low'], signed=False)} to {formats.points(row['high'], signed=False)}"


def headlines(results: Row) -> list[str]:
    """How little data is enough, then the user's arms against the control that suits each."""
    return [*enough_sentences(results), *differences(results)]


def differences(results: Row) -> list[str]:
    """The user's arms against the control that suits each: a sentence for each; of many, the best and the worst."""
    arms = list(dict.fromkeys(run["arm"] for run in results["runs"] if not run["control"]))
    controls, baseline = Controls.of(results), results.get("baseline")
    strictest = {arm: controls.strictest(baseline, arm=arm) for arm in arms}
    repeats = _repeats(results, controls)
    if many_arms(results):
        return [*(_ends(strictest, controls, results["differences"]) or [_nothing(results)]), *repeats]
    sentences = [_arm(arm, strictest[arm], controls, results["differences"]) for arm in arms]
    return [*([sentence for sentence in sentences if sentence] or [_nothing(results)]), *repeats]


def _repeats(results: Row, controls: Controls) -> list[str]:
    """Which arms are a control under another name."""
    pairs = dict.fromkeys((run["arm"], run["repeats"]) for run in results["runs"] if run.get("repeats"))
    return [f"{arm} repeats {controls.label(control)}, and its numbers are those" for arm, control in pairs]


def lead(results: Row) -> list[str]:
    """`headlines` for the top of a page that has a card for every arm: of more than a few arms one sentence for all."""
    users = {run["arm"] for run in results["runs"] if not run["control"]}
    decisive = deciding(results)
    if len(users) <= MOST_IN_LEAD or not decisive:
        return headlines(results)
    controls = Controls.of(results)
    return [*enough_sentences(results), _together(decisive, controls), *_repeats(results, controls)]


def _together(found: dict[tuple[str, str], Row], controls: Controls) -> str:
    """Which arms are above and below their control, and at which budgets, and how many are at none."""
    names = {controls.label(row["against"]) for row in found.values()}
    against = names.pop() if len(names) == 1 else f"the {controls.theirs.removeprefix('their ')} of each"
    rows = sorted(found.values(), key=lambda row: row["images"])
    arms = list(dict.fromkeys(arm for arm, _ in found))
    clauses, mentioned = [], set()
    for kind, words in (("better", "above"), ("worse", "below")):
        by_arm = {arm: [row for row in rows if row["arm"] == arm and verdict(row) == kind] for arm in arms}
        named = [f"{arm}{_at_budgets(own)}" for arm, own in by_arm.items() if own]
        mentioned |= {arm for arm, own in by_arm.items() if own}
        left = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
        listed = f"{', '.join(named[:MOST_NAMED])}{left}" if left else formats.listing(named)
        clauses += [f"{words} {against} beyond seed noise: {listed}"] if named else []
    verdicts = {verdict(row) for row in rows}
    if verdicts == {"one seed only"}:
        return f"All {len(arms)} arms are compared with {against} on one seed only{_unequal_ones(rows)}"
    if verdicts == {"within seed noise"}:
        return f"All {len(arms)} arms are within seed noise of {against}{_unequal_ones(rows)}"
    others = _others([row for row in rows if row["arm"] not in mentioned], "" if mentioned else against)
    text = "; ".join([*clauses, *others])
    return f"{text[0].upper()}{text[1:]}{_corrected(rows)}{_unequal_ones(rows)}"


def _others(rows: list[Row], against: str) -> list[str]:
    """How many arms are beyond seed noise at no budget; those with a single seed are counted apart.

    Args:
        rows: their differences at all budgets.
        against: what they are compared with, "" if that has been said.
    """
    verdicts: dict[str, set[str]] = {}
    for row in rows:
        verdicts.setdefault(row["arm"], set()).add(verdict(row))
    alone = [kinds for kinds in verdicts.values() if "one seed only" in kinds]
    noise = " at every budget" if len({row["budget"] for row in rows}) > 1 else ""
    seeds = " at some budgets" if any(len(kinds) > 1 for kinds in alone) else ""
    noun, of_these, with_these = ("arm", f" of {against}", f" with {against}") if against else ("other arm", "", "")
    clauses = (
        (len(verdicts) - len(alone), f"within seed noise{of_these}{noise}"),
        (len(alone), f"compared{with_these} on one seed only{seeds}"),
    )
    return [f"{formats.plural(n, noun)} {'is' if n == 1 else 'are'} {words}" for n, words in clauses if n]


def _unequal_ones(rows: list[Row]) -> str:
    """Arms whose number of images differs from their control's; '' if there are none."""
    phrases = [f"{row['arm']}{formats.at(row['budget'])}{unequal(row)}" for row in rows if unequal(row)]
    more = [f"and {len(phrases) - MOST_NAMED} more"] if len(phrases) > MOST_NAMED else []
    return "".join(f"; {phrase}" for phrase in [*phrases[:MOST_NAMED], *more])


def _at_budgets(rows: list[Row]) -> str:
    budgets = [row["budget"] for row in rows if formats.at(row["budget"])]
    return f" at {formats.listing(budgets)}" if budgets else ""


def headline(results: Row) -> str:
    """The finding of a comparison in plain words, for a terminal or the top of a page."""
    return " ".join(f"{sentence}." for sentence in headlines(results))


def _distance(row: Row) -> str:
    if row["mean"] == 0:
        return "level with"
    side = "above" if row["mean"] > 0 else "below"
    return f"{formats.points(abs(row['mean']), signed=False)} points {side}"


def _ends(strictest: dict[str, list[str]], controls: Controls, differences: list[Row]) -> list[str]:
    """How many arms are above and below their control at each budget, and the best and the worst of them."""
    control_of = {arm: _strictest(arm, ranked, differences) for arm, ranked in strictest.items()}
    rows = [row for row in differences if row["arm"] in control_of and row["against"] == control_of[row["arm"]]]
    sentences = []
    for budget in dict.fromkeys(row["budget"] for row in sorted(rows, key=lambda row: row["images"])):
        at_budget = sorted((row for row in rows if row["budget"] == budget), key=lambda row: row["mean"])
        counts = Counter(map(verdict, at_budget))
        above, below = (f"{counts[kind] or 'none'} {'is' if counts[kind] < 2 else 'are'}" for kind in _BEYOND)
        names = {controls.label(row["against"]) for row in at_budget}
        against = names.pop() if len(names) == 1 else controls.theirs
        sentences += [
            f"Of {formats.plural(len(at_budget), 'arm')}{formats.at(budget)}, {above} above {against} beyond seed "
            f"noise and {below} below it",
            f"The highest: {difference(at_budget[-1], controls)}",
            f"The lowest: {difference(at_budget[0], controls)}",
        ]
    return sentences


def _arm(arm: str, strictest: list[str], controls: Controls, differences: list[Row]) -> str:
    control = _strictest(arm, strictest, differences)
    rows = sorted((row for row in differences if control and _is(row, arm, control)), key=lambda row: row["images"])
    if not rows or control is None:
        return ""
    if len(rows) == 1:
        return difference(rows[0], controls)
    against, seeds = controls.label(control), sorted({row["n"] for row in rows})
    clauses = [
        f"{words} at {_places(matching)}"
        for kind, words in (
            ("better", "above {} beyond seed noise"),
            ("worse", "below {} beyond seed noise"),
            ("within seed noise", "within seed noise of {}"),
            ("one seed only", "compared with {} on one seed only"),
        )
        if (matching := [row for row in rows if verdict(row) == kind])
    ]
    count = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    named = [clause.format("it" if i else against) for i, clause in enumerate(clauses)]
    return f"{arm} is {', and '.join(named)}{_corrected(rows)}; n = {count} {'seed' if seeds[-1] == 1 else 'seeds'}"


def _strictest(arm: str, strictest: list[str], differences: list[Row]) -> str | None:
    """The first of `strictest` that the arm is compared with."""
    return next((control for control in strictest if any(_is(row, arm, control) for row in differences)), None)


def _is(row: Row, arm: str, against: str | None) -> bool:
    return row["arm"] == arm and row["against"] == against


def _places(rows: list[Row]) -> str:
    return formats.listing(
        f"{row['budget']} ({formats.points(row['mean'])} points{unequal(row)}{_more_seeds(row)})" for row in rows
    )


def _nothing(results: Row) -> str:
    finished = sum(run["state"] == "finished" for run in results["runs"])
    controls = Controls.of(results)
    planned = {run["arm"] for run in results["runs"]}
    ranked = (controls.label(name) for name in controls.strictest() if name in planned)
    control = next(ranked, "a control")
    what = (
        " of differences" if results.get("enough") else ""
    )  # how little is enough can be said for controls alone, too
    return (
        f"Nothing can be said{what} yet: no arm has a finished run beside {control} "
        f"({finished} of {formats.plural(len(results['runs']), 'run')} finished)"
    )
