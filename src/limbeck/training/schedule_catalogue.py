"""Names of the schedules of the learning rate, without importing torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from limbeck.catalogue import Catalogue
from limbeck.errors import unknown_name
from limbeck.import_paths import FROM_PYTHON
from limbeck.training.parts import check_names, name_and_options

MODULE = "torch.optim.lr_scheduler"


@dataclass(frozen=True)
class ScheduleEntry:
    """What a user needs to know before choosing a schedule.

    Attributes:
        summary: one line for listings.
        options: with their defaults; `inspect.Parameter.empty` of one that must be given.
        check: raises a UserError for invalid options.
        made_by: makes a function from step to `Rate`, given the number of steps, an optimiser and options, where the
            schedule is not built in.
    """

    summary: str
    options: Mapping[str, Any] = field(default_factory=dict)
    check: Callable[..., object] = dict
    made_by: Callable[..., Any] | None = None


_OWN = {
    "cosine": ScheduleEntry("half a cosine, down to 0"),
    "multi-step": ScheduleEntry("times `decay` at each of the `milestones`"),
    "constant": ScheduleEntry("the rate as it is"),
    "warmup-stable-decay": ScheduleEntry("the rate as it is, and over the `cooldown` linearly down to 0"),
}
SCHEDULES: Catalogue[ScheduleEntry] = Catalogue("schedules", _OWN, "limbeck.training.own_schedules:describe")


def check_schedule(spec: Any) -> Any:
    """Raises a UserError for an invalid schedule; returns `spec` with objects replaced by their names.

    Args:
        spec: a name, also that of a class of `torch.optim.lr_scheduler` in any case; an import path; in Python, a class
            or a function from the share done to a factor; or a mapping from one of these to its options.

    Example:
        >>> check_schedule("cosine"), check_schedule({"StepLR": {"step_size": 100}})
        ('cosine', {'torch.optim.lr_scheduler:StepLR': {'step_size': 100}})
    """
    name, options = name_and_options(SCHEDULES.named(spec), "schedule")
    name = _found(name)
    entry = SCHEDULES[name]
    check_names(options, entry.options, f"schedule {name!r}")
    entry.check(**options)
    return {name: options} if options else name


def _found(name: str) -> str:
    """The name in the catalogue, or the canonical import path of a class of torch."""
    if name.startswith(MODULE):
        name = name.rpartition(":")[2]
    if name in SCHEDULES or name.startswith(FROM_PYTHON):
        return name
    from torch.optim import lr_scheduler

    classes = {class_name.casefold(): class_name for class_name in lr_scheduler.__all__}
    classes.pop("lrscheduler", None)
    if name.casefold() not in classes:
        hint = (
            "`limbeck ls schedules` lists limbeck's; any class of torch.optim.lr_scheduler will do, and 'module:name'"
        )
        raise unknown_name("schedule", name, [*SCHEDULES, *classes.values()], hint)
    return f"{MODULE}:{classes[name.casefold()]}"
