"""What every schedule must do: give a rate for each step, whatever was asked before."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from limbeck.testing.assertions import ensure
from limbeck.training.schedule import schedule_of
from limbeck.training.settings import TrainingSettings

Options = dict[str, Any]
_STEPS = (1, 2, 10, 97)


def _rates(name: str, options: Options, steps: int) -> Callable[[int], Any]:
    return schedule_of(steps, TrainingSettings(steps=steps, schedule={name: options}))


def rates_are_finite(name: str, options: Options) -> None:
    """Of runs of any length."""
    for steps in _STEPS:
        at = _rates(name, options, steps)
        for step in range(steps):
            rate = at(step).rate
            ensure(math.isfinite(rate) and rate >= 0, f"{name} must give rates >= 0, got {rate} at step {step}")


def rates_depend_on_the_step_alone(name: str, options: Options) -> None:
    """As resumed runs begin somewhere."""
    for steps in _STEPS:
        at, again = _rates(name, options, steps), _rates(name, options, steps)
        forwards, backwards = [at(step) for step in range(steps)], [again(step) for step in reversed(range(steps))]
        ensure(forwards == backwards[::-1], f"{name} must give a step its rate, whatever was asked before")


CHECKS: Mapping[str, Callable[..., None]] = {
    "rates are finite": rates_are_finite,
    "rates depend on the step alone": rates_depend_on_the_step_alone,
}
