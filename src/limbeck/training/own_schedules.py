"""Schedules of torch or of the user's own: entries made from a class, or from a function of the share done."""

import math
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from inspect import Parameter
from typing import Any, NamedTuple

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from limbeck.errors import UserError
from limbeck.foreign import check_remarks, errors_of
from limbeck.signatures import default_of, inputs_and_options, parameters, summary_of
from limbeck.training.schedule_catalogue import ScheduleEntry

SIGNALS = ("elapsed", "step", "steps")
"""What a function may read: the share of steps done, in [0, 1), the step's number, and the number of steps."""
_OF_RUN = ("T_max", "total_iters", "total_steps")
"""Options of torch's schedules that are the number of steps of a run."""
_INTERNAL = ("optimizer", "last_epoch", "verbose")
_CYCLED = ("momentum", "betas")
"""What some schedules change besides the rate."""
_TRIED = (0.0, 0.25, 0.5, 0.75)


class Rate(NamedTuple):
    """The learning rate of a step, and what else its schedule sets.

    Attributes:
        rate: the learning rate.
        beside: other entries of the optimiser's groups.
    """

    rate: float
    beside: Mapping[str, Any] = {}


def describe(name: str, part: Any, remarks: Mapping[str, Any]) -> ScheduleEntry:
    """The catalogue's entry of a schedule of the user's own, or of torch's.

    Args:
        name: its name.
        part: a function of `SIGNALS` to a factor of the learning rate, a finite number >= 0; or a subclass of torch's
            `LRScheduler`, a `functools.partial` of one, or a function of an `optimizer` (and optionally `steps`) that
            makes one, which steps with every step of the run. Further parameters are options. For a class, the options
            `T_max`, `total_iters` and `total_steps` default to the number of steps, and `max_lr` to the learning rate.
        remarks: `summary`.

    Raises:
        UserError: it is neither, or it depends on what the run measures.
    """
    what = f"schedule {name!r}"
    kind: Any = part.func if isinstance(part, partial) else part
    is_class = isinstance(kind, type) and issubclass(kind, LRScheduler)
    if isinstance(kind, type) is not is_class or not callable(part):
        raise UserError(
            f"{what} must be a function of {', '.join(SIGNALS)} to a factor of the learning rate, or a subclass of "
            f"`torch.optim.lr_scheduler.LRScheduler`, got {part!r}."
        )
    check_remarks(remarks, ("summary",), what)
    summary = str(remarks.get("summary", summary_of(kind)))
    if is_class:
        return _of_class(part, kind, what, summary)
    signals, options = inputs_and_options(part, (*SIGNALS, "optimizer"), what)
    if not signals:
        raise UserError(f"{what} must be a function of {', '.join(SIGNALS)}, one of them at least, got none.")
    if "optimizer" in signals:
        return _of_factory(part, signals, options, what, summary)

    def make(steps: int, optimizer: Optimizer, **arguments: Any) -> Callable[[int], Rate]:
        rate = optimizer.param_groups[0]["lr"]
        return lambda step: Rate(rate * _factor(part, what, signals, step, steps, arguments))

    def check(**arguments: Any) -> None:
        for share in _TRIED:
            _factor(part, what, signals, round(share * 100), 100, arguments)

    return ScheduleEntry(summary, options, check, make)


def _of_factory(
    part: Callable[..., Any], signals: list[str], options: Mapping[str, Any], what: str, summary: str
) -> ScheduleEntry:
    """The entry of a function that makes one of torch's schedules, as `lambda optimizer: StepLR(optimizer, 1)`."""
    if not {*signals} <= {"optimizer", "steps"}:
        raise UserError(
            f"{what} must be a function of `optimizer` and `steps` that makes a schedule, or one of "
            f"{', '.join(SIGNALS)} to a factor, got {', '.join(signals)}."
        )

    def make(steps: int, optimizer: Optimizer, **arguments: Any) -> Callable[[int], Rate]:
        counts = {"steps": steps} if "steps" in signals else {}

        def made(optimizer: Optimizer) -> LRScheduler:
            schedule = part(optimizer=optimizer, **counts, **arguments)
            _check_made(schedule, optimizer, what)
            return schedule

        return Stepped(made, optimizer, what).at

    # Not checked here: it is tried with the optimiser of the run, when recipes are read.
    return ScheduleEntry(summary, options, made_by=make)


def _check_made(schedule: Any, optimizer: Optimizer, what: str) -> None:
    if not isinstance(schedule, LRScheduler):
        raise UserError(f"{what} must make a `torch.optim.lr_scheduler.LRScheduler`, got {type(schedule).__name__}.")
    _check_goes_by_step(type(schedule), what)
    if getattr(schedule, "optimizer", optimizer) is not optimizer:
        raise UserError(f"{what} must make a schedule of the `optimizer` that it is given, got one of another.")


def _check_goes_by_step(kind: type[Any], what: str) -> None:
    if issubclass(kind, ReduceLROnPlateau):
        raise UserError(
            f"{what} goes by what a run measures, and limbeck's schedules by the step alone, so that a resumed run and "
            "a whole one are the same; choose another, or a function of `elapsed`."
        )


def _of_class(part: Callable[..., Any], kind: type[Any], what: str, summary: str) -> ScheduleEntry:
    _check_goes_by_step(kind, what)
    defaults = {
        parameter.name: parameter.default if parameter.default is parameter.empty else default_of(parameter)
        for parameter in parameters(part)
        if parameter.name not in _INTERNAL and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }
    if not any(parameter.name == "optimizer" for parameter in parameters(part)):
        raise UserError(f"{what} must take an `optimizer`, as torch's schedules do.")

    def settled(steps: int, rate: float, arguments: Mapping[str, Any]) -> dict[str, Any]:
        usual = {**dict.fromkeys(_OF_RUN, steps), "max_lr": rate}
        bound = part.keywords if isinstance(part, partial) else {}
        options = {key: value for key, value in usual.items() if key in defaults and key not in bound} | dict(arguments)
        missing = [key for key, default in defaults.items() if default is Parameter.empty and key not in options]
        if missing:
            hint = "; a function of `elapsed` can do the same" if {*missing} & {"lr_lambda", "schedulers"} else ""
            raise UserError(f"{what} needs its options {', '.join(f'`{key}`' for key in missing)}{hint}.")
        return options

    def make(steps: int, optimizer: Optimizer, **arguments: Any) -> Callable[[int], Rate]:
        return Stepped(partial(part, **settled(steps, optimizer.param_groups[0]["lr"], arguments)), optimizer, what).at

    # Only options are checked here: schedules that change momenta are tried with the optimiser that has them.
    return ScheduleEntry(summary, defaults, lambda **arguments: settled(100, 0.1, arguments), make)


class Stepped:
    """One of torch's schedules as a function of the step: its results are computed step by step and remembered.

    Args:
        make: makes the schedule for an optimiser.
        optimizer: for this schedule alone; its parameters are not used.
        what: what to call the schedule in messages.

    Raises:
        UserError: it cannot be made.
    """

    def __init__(self, make: Callable[[Optimizer], LRScheduler], optimizer: Optimizer, what: str) -> None:
        self.optimizer = optimizer
        self.what = what
        self._known: list[Rate] = []
        try:
            self._schedule = make(optimizer)
        except UserError:
            raise
        except Exception as error:  # whatever the user's code raises
            raise UserError(f"{what} cannot be made: {type(error).__name__}: {str(error).rstrip('.')}.") from error
        self._note()

    def at(self, step: int) -> Rate:
        """The rate of a step, 0, 1, ..."""
        while len(self._known) <= step:
            try:
                with warnings.catch_warnings(action="ignore"):  # torch warns that its optimiser takes no steps
                    self._schedule.step()
            except Exception as error:
                raise UserError(
                    f"{self.what} fails at step {len(self._known)}: {type(error).__name__}: {str(error).rstrip('.')}."
                ) from error
            self._note()
        return self._known[step]

    def _note(self) -> None:
        group = self.optimizer.param_groups[0]
        rate = _checked(group["lr"], f"{self.what} must give a finite rate >= 0", len(self._known))
        self._known.append(Rate(rate, {key: group[key] for key in _CYCLED if key in group}))


def _factor(
    part: Callable[..., Any], what: str, signals: list[str], step: int, steps: int, options: Mapping[str, Any]
) -> float:
    values = {"elapsed": step / steps, "step": step, "steps": steps}
    with errors_of(what):
        factor = part(**{name: values[name] for name in signals}, **options)
    return _checked(factor, f"{what} must give a factor of the learning rate, a finite number >= 0", step)


def _checked(value: Any, what: str, step: int) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool | str) or not (math.isfinite(number) and number >= 0):
        raise UserError(f"{what}, got {value!r} at step {step}.")
    return number
