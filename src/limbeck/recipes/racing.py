"""A race: which runs of a comparison continue, and how far, one rung of the ladder after the other.

Decisions follow from the run folders alone, so that a comparison that was interrupted and resumed, or to which arms and
seeds were added, decides like one that ran without interruption.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from limbeck.cost import RunCost
from limbeck.evaluation.racing import Scores, Standing, ValidationScore, standings
from limbeck.recipes.plan import PlannedRun
from limbeck.recipes.racing_settings import RacingSettings
from limbeck.recipes.run_tasks import RunTask
from limbeck.recipes.rungs import common_shares, earlier, raced, seed_rungs, share_rungs
from limbeck.training.run_folder import FINISHED, PAUSED, RunFolder
from limbeck.training.validation import MEASURES, Measure, measure_of, unpacked

RACING_FILE = "racing.json"
"""File of the decisions, in the folder of the comparison."""
Group = tuple[str, str]
"""Arm and budget."""


@dataclass(frozen=True)
class Rung:
    """Where arms of one budget are compared.

    Attributes:
        label: in words.
        budget: of these arms.
        share: of the steps of their runs, in (0, 1]; 1 for finished runs.
        runs: that are compared.
        drops: budgets at which an arm that stops here is not continued.
    """

    label: str
    budget: str
    share: Fraction
    runs: Sequence[PlannedRun]
    drops: Sequence[str]


@dataclass(frozen=True)
class Curve:
    """Validation results of a run.

    Attributes:
        steps: of the whole run.
        done: steps that are certainly done.
        validations: step -> row of its metrics.
    """

    steps: int
    done: int
    validations: Mapping[int, Mapping[str, Any]]

    @property
    def measure(self) -> Measure:
        """What its validations measure: "top1" or "agreement"."""
        return measure_of(next(iter(self.validations.values()), {"top1": 0.0}))

    def at(self, share: Fraction, images: int) -> ValidationScore | None:
        """The score after a share of the steps; None if the run did not get that far, or did not validate there.

        Args:
            share: in (0, 1].
            images: number of validation images.
        """
        step = max(1, round(self.steps * share))
        row = self.validations.get(step) if step <= self.done else None
        if row is None:
            return None
        measure = measure_of(row)
        right = row.get("right" if measure == "top1" else "agrees")  # missing in earlier versions
        return ValidationScore(row[measure], None if right is None else unpacked(right, images))


def read_curve(run_folder: RunFolder) -> Curve | None:
    """The curve of a finished or paused run; None for any other, which must be resumed before it can be compared."""
    if run_folder.finished:
        steps = done = RunCost.from_dict(run_folder.read("cost.json")).teaching.steps
    elif run_folder.state == PAUSED:
        status = run_folder.read("status.json")
        steps, done = status["steps"], status["step"]
    else:
        return None
    return Curve(steps, done, {row["step"]: row for row in run_folder.metrics() if row["kind"] == "validation"})


def ladder(planned: Sequence[PlannedRun], settings: RacingSettings) -> list[list[Rung]]:
    """Rungs in order, each a list with one rung per budget, except on a ladder of budgets."""
    by_budget: dict[str, list[PlannedRun]] = {}
    for run in raced(planned):
        by_budget.setdefault(run.budget_label, []).append(run)
    budgets, whole = list(by_budget), Fraction(1)
    if settings.by == "budgets":
        each = enumerate(by_budget.items(), start=1)
        return [[Rung(f"{budget}", budget, whole, runs, budgets[index:])] for index, (budget, runs) in each][:-1]
    if settings.by == "seeds":
        seeds = list(dict.fromkeys(run.recipe.seed for run in planned))
        return [
            [
                Rung(f"{n} seeds", budget, whole, [run for run in runs if run.recipe.seed in seeds[:n]], [budget])
                for budget, runs in by_budget.items()
            ]
            for n in seed_rungs(settings, len(seeds))
        ]
    return [
        [
            Rung(f"{100 * float(share):.3g} % of the steps", budget, share, runs, [budget])
            for budget, runs in by_budget.items()
        ]
        for share in share_rungs(settings, planned)
    ]


def decisions_of(arms: int, rungs: int) -> int:
    """How many decisions a race could come to at one budget, among which its error probability is divided.

    Each says that one arm is behind another. Which of the arms is the best is seen in the very scores that decide, so
    that every ordered pair of them counts, and not only the pairs with one arm that was chosen before.

    Args:
        arms: at the budget, >= 1.
        rungs: of the ladder.

    Example:
        >>> decisions_of(arms=8, rungs=3)
        168
    """
    return arms * (arms - 1) * rungs


def stand(
    curves: Mapping[str, Mapping[int, Curve | None]],
    share: Fraction,
    shares: Sequence[Fraction],
    settings: RacingSettings,
    *,
    decisions: int,
    images: int,
) -> list[Standing]:
    """The standings of arms at a share of their steps.

    Args:
        curves: arm -> seed -> curve of its run.
        share: of the steps, in (0, 1], at which they are compared.
        shares: all shares at which they validate.
        settings: of the race.
        decisions: number of decisions about arms of this budget in the whole race, among which the error probability
            is divided (Bonferroni).
        images: number of validation images.
    """
    level = 1 - (1 - settings.confidence) / max(1, decisions)
    now = _scores(curves, share, images)
    if share == 1:
        return standings(now, keep=settings.keep, level=level, images=images)
    start = earlier(share, shares)
    # Scores grow with the logarithm of the steps rather than with the steps.
    ahead = math.log(1 / share) / math.log(share / start)
    return standings(now, _scores(curves, start, images), ahead=ahead, keep=settings.keep, level=level, images=images)


def _scores(curves: Mapping[str, Mapping[int, Curve | None]], share: Fraction, images: int) -> Scores:
    scores = {
        arm: {seed: curve.at(share, images) for seed, curve in seeds.items() if curve is not None}
        for arm, seeds in curves.items()
    }
    return {arm: {seed: score for seed, score in seeds.items() if score is not None} for arm, seeds in scores.items()}


def in_words(why: Mapping[str, Any]) -> str:
    """Why an arm stopped, as `dropped` has it.

    Example:
        >>> in_words({"rung": "25 % of the steps", "budget": "50 images", "against": "margin", "difference": -0.052,
        ...           "n": 3})
        'at 25 % of the steps of 50 images it is 5.2 points below margin in validation accuracy, n = 3 seeds'
    """
    measure = MEASURES[why.get("measure", "top1")]  # earlier versions had accuracy only
    budget = "" if why["budget"] in ("all", why["rung"]) else f" of {why['budget']}"
    return (
        f"at {why['rung']}{budget} it is {-100 * why['difference']:.1f} points below {why['against']} in validation "
        f"{measure}, n = {why['n']} seeds"
    )


class Race:
    """The runs of a comparison on a ladder.

    Args:
        planned: all runs.
        settings: of the race.
        folder: of the comparison.
        images: number of validation images.
        say: called with a sentence on each arm that stops.

    Attributes:
        dropped: arm and budget -> why it stopped, as in `racing.json`.
    """

    def __init__(
        self,
        planned: Sequence[PlannedRun],
        settings: RacingSettings,
        folder: Path,
        images: int,
        *,
        say: Callable[[str], None],
    ) -> None:
        self.planned = planned
        self.settings = settings
        self.folder = folder
        self.images = images
        self.say = say
        self.dropped: dict[Group, dict[str, Any]] = {}
        self._ladder = ladder(planned, settings)
        self._shares = common_shares(raced(planned))
        self._standings: list[dict[str, Any]] = []
        self._tried: set[str] = set()

    def batches(self) -> Iterator[list[RunTask]]:
        """Runs to continue, rung after rung; the next rung's are known once all of these have been run."""
        before = RunFolder(self.folder).read(RACING_FILE, {})
        self._write(before, self._ladder)
        for index, rungs in enumerate(self._ladder, start=1):
            for until in [rungs[0].share] if rungs else []:
                yield self._tasks([run for rung in rungs for run in rung.runs], None if until == 1 else until)
            for rung in rungs:
                self._decide(rung)
            self._write(before, self._ladder[index:])
        yield self._tasks(self.planned, None)

    def runs_dropped(self) -> int:
        """How many runs are not continued; those that broke before count as done already."""
        gone = [run for run in self.planned if (run.arm, run.budget_label) in self.dropped]
        return sum(not self._ended(run) for run in gone)

    def _tasks(self, runs: Iterable[PlannedRun], until: Fraction | None) -> list[RunTask]:
        """Tasks for the runs that are neither dropped nor that far already; a broken run is not tried again."""
        chosen = []
        for run in runs:
            if self._ended(run) or (run.arm, run.budget_label) in self.dropped:
                continue
            curve = read_curve(self._run_folder(run))
            if until is None or curve is None or curve.done < round(curve.steps * until):
                chosen.append(run)
        self._tried |= {run.folder for run in chosen}
        return [RunTask(run, until) for run in chosen]

    def _ended(self, run: PlannedRun) -> bool:
        """Whether a run has finished, or was tried and broke."""
        state = self._run_folder(run).state
        return state == FINISHED or (run.folder in self._tried and state != PAUSED)

    def _decide(self, rung: Rung) -> None:
        curves: dict[str, dict[int, Curve | None]] = {}
        for run in rung.runs:
            if (run.arm, run.budget_label) not in self.dropped:
                curves.setdefault(run.arm, {})[run.recipe.seed] = read_curve(self._run_folder(run))
        arms = len({run.arm for run in rung.runs})
        arm_standings = stand(
            curves,
            rung.share,
            self._shares,
            self.settings,
            decisions=decisions_of(arms, len(self._ladder)),
            images=self.images,
        )
        entry: dict[str, Any] = {"rung": rung.label, "share": float(rung.share), "budget": rung.budget}
        if any(
            curve.measure == "agreement" for seeds in curves.values() for curve in seeds.values() if curve is not None
        ):
            entry["measure"] = "agreement"
        self._standings += [{**entry, **standing._asdict()} for standing in arm_standings]
        for standing in [standing for standing in arm_standings if standing.stops]:
            why = {
                **entry,
                "against": arm_standings[0].arm,
                **{key: value for key, value in standing._asdict().items() if key != "arm"},
            }
            self.dropped |= {(standing.arm, budget): why for budget in rung.drops}
            self.say(f"{standing.arm} stops: {in_words(why)}")

    def _write(self, before: Mapping[str, Any], ahead: Iterable[Sequence[Rung]]) -> None:
        """Writes the decisions.

        Args:
            before: content of the file when this race began. Its decisions are kept until their rung is decided again,
                or a race that is stopped before that would seem to have dropped no arm.
            ahead: rungs that are yet to be decided.
        """
        pending = {(rung.label, rung.budget) for rungs in ahead for rung in rungs}
        dropped = [{"arm": arm, "at": budget, "why": why} for (arm, budget), why in self.dropped.items()]
        dropped += [
            entry
            for entry in before.get("dropped", ())
            if (entry["why"]["rung"], entry["why"]["budget"]) in pending
            and (entry["arm"], entry["at"]) not in self.dropped
        ]
        kept = [entry for entry in before.get("standings", ()) if (entry["rung"], entry["budget"]) in pending]
        rungs = [rungs[0].label for rungs in self._ladder if rungs]
        content = {"rungs": rungs, "standings": self._standings + kept, "dropped": dropped}
        RunFolder(self.folder).write(RACING_FILE, content)

    def _run_folder(self, run: PlannedRun) -> RunFolder:
        return RunFolder(self.folder / run.folder)
