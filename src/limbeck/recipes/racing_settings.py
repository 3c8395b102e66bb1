"""The part of a recipe under `compare.racing`."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from limbeck.recipes.settings import Strict

SHARES = [0.25, 0.5, 0.75]
"""The usual rungs of a ladder of steps."""


class RacingSettings(Strict):
    """Arms that are beyond reach at a rung of the budget stop there (successive halving).

    An arm stops where it is outside of the best share `keep` and beyond reach of the best on the validation images;
    see `standings` of `limbeck.evaluation.racing`. Controls never stop.
    """

    by: Literal["steps", "seeds", "budgets"] = "steps"
    """What the ladder climbs: `steps`, of which each run pauses at the rungs; `seeds`, after so many of which the arms
    are compared; `budgets`, of which an arm that stops at one is not run at the larger ones."""
    rungs: Annotated[list[float], Field(min_length=1)] | None = None
    """By steps, shares of each run's steps, moved up to where all arms validate, by default 0.25, 0.5 and 0.75; by
    seeds, numbers of seeds, by default 3, 6, 12 ...; by budgets none, which are the budgets themselves. They rise."""
    keep: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Share of the arms, rounded up, that goes on from every rung in any case."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """How sure it is that none of the decisions to stop arms of one budget is wrong: the doubt is divided among all
    ordered pairs of arms at all rungs, as any arm might have turned out the best."""

    @field_validator("rungs")
    @classmethod
    def _rising(cls, rungs: list[float] | None) -> list[float] | None:
        if rungs is not None and rungs != sorted(set(rungs)):
            raise ValueError(f"must rise, got {rungs}")
        return rungs

    @model_validator(mode="after")
    def _of_its_kind(self) -> Self:
        rungs = self.rungs or []
        if self.by == "steps" and not all(0 < rung < 1 for rung in rungs):
            raise ValueError(f"`rungs` must be shares of the steps, > 0 and < 1, got {rungs}")
        if self.by == "seeds" and not all(rung >= 2 and rung == int(rung) for rung in rungs):
            raise ValueError(f"`rungs` must be whole numbers of seeds, >= 2, got {rungs}")
        if self.by == "budgets" and self.rungs is not None:
            raise ValueError(f"`rungs` of `by: budgets` are the budgets themselves; leave them out, got {rungs}")
        return self


def _short(value: Any) -> Any:
    """`true` for the usual settings, `false` for none, a name for what the ladder climbs."""
    if isinstance(value, bool):
        return {} if value else None
    if value is None or isinstance(value, Mapping | RacingSettings):
        return value
    if isinstance(value, str):
        return {"by": value}
    raise ValueError(f"must be true, false, steps, seeds, budgets or a mapping of settings, got {value!r}")


Racing = Annotated[RacingSettings | None, BeforeValidator(_short)]
