"""The rungs at which the arms of a race are compared, by its recipe, and what prevents a race."""

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction

from limbeck.recipes.inputs import Inputs
from limbeck.recipes.plan import PlannedRun, plan
from limbeck.recipes.racing_settings import SHARES, RacingSettings
from limbeck.recipes.schema import Recipe
from limbeck.training.settings import TrainingSettings

DOUBLING_FROM = 3
"""Seeds at the first of the default rungs; each further rung doubles them."""


def raced(planned: Iterable[PlannedRun]) -> list[PlannedRun]:
    """The runs whose arms may stop: neither controls nor arms that repeat one."""
    return [run for run in planned if not run.control and run.repeats is None]


def common_shares(planned: Sequence[PlannedRun]) -> list[Fraction]:
    """Shares of their steps after which all of these runs validate, ascending to 1; empty if one never does.

    They begin where the schedules of all have settled: an arm with a longer warm-up lags behind until then, and one
    whose learning rate has yet to drop will still jump.
    """
    if not planned:
        return []
    counts = [run.recipe.training.validations for run in planned]
    count = math.gcd(*counts) if all(counts) else 0
    settled = max(_settled(run.recipe.training) for run in planned)
    return [share for k in range(1, count + 1) if (share := Fraction(k, count)) >= settled]


def share_rungs(settings: RacingSettings, planned: Sequence[PlannedRun]) -> list[Fraction]:
    """The rungs of a ladder of steps, moved up to where all arms validate, and not for the first time."""
    shares = common_shares(raced(planned))[1:-1]
    rungs = [next((share for share in shares if share >= rung), None) for rung in map(_exact, settings.rungs or SHARES)]
    return sorted({share for share in rungs if share is not None})


def seed_rungs(settings: RacingSettings, seeds: int) -> list[int]:
    """The rungs of a ladder of seeds, except those that leave no seeds to run."""
    usual = [DOUBLING_FROM * 2**k for k in range(seeds.bit_length())]
    return [int(rung) for rung in settings.rungs or usual if rung < seeds]


def earlier(share: Fraction, shares: Sequence[Fraction]) -> Fraction:
    """The largest of the shares that is at most half of `share`, or else the first."""
    return max((other for other in shares if 2 * other <= share), default=shares[0])


def unraceable(recipe: Recipe, inputs: Inputs) -> dict[str, None]:
    """Sentences on what prevents the arms of a comparison from racing."""
    compare = recipe.compare
    if compare is None or compare.racing is None:
        return {}
    settings, wrong = compare.racing, []
    planned = raced(plan(recipe, labelled=inputs.labelled))
    if len({run.arm for run in planned}) < 2:
        wrong.append("`compare.racing` needs two arms or more that repeat no control; leave it out.")
    elif inputs.validation is None:
        wrong.append(
            "`compare.racing` needs validation images, for test images decide nothing; set `data.validation`, or "
            "leave out `racing`."
        )
    elif not common_shares(planned):
        wrong.append("`compare.racing` needs `training.validations` >= 1 of every arm, got 0; raise it.")
    elif settings.by == "steps" and not share_rungs(settings, planned):
        counts = ", ".join(map(str, sorted({run.recipe.training.validations for run in planned})))
        wrong.append(
            "`compare.racing` finds no rung: all arms must validate twice or more at the same shares of their steps, "
            "after warm-up and the first drop of a multi-step schedule and before they end, got `training.validations` "
            f"{counts} and `racing.rungs` {settings.rungs or SHARES}; raise `training.validations`."
        )
    return dict.fromkeys(wrong)


def _settled(training: TrainingSettings) -> Fraction:
    """Share of the steps up to the end of warm-up, the first drop of a multi-step schedule, or the decay of
    warmup-stable-decay, whichever is last."""
    drops = training.milestones[:1] if training.schedule == "multi-step" else []
    falls = [1 - _share(training.cooldown, training)] if training.schedule == "warmup-stable-decay" else []
    return max(map(_exact, [_share(training.warmup, training), *drops, *falls]))


def _share(share_or_steps: float, training: TrainingSettings) -> float:
    """A share or number of steps as a share; 1 if the number of all steps is unknown here."""
    if share_or_steps < 1:
        return share_or_steps
    return min(1.0, share_or_steps / (training.steps or share_or_steps))


def _exact(rung: float) -> Fraction:
    """0.2 as exactly one fifth, not as its nearest binary float."""
    return Fraction(rung).limit_denominator(10_000)
