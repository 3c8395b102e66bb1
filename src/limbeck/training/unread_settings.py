"""Settings of training that the chosen optimiser or schedule does not read, or that a run is too short for."""

from collections.abc import Iterable

from limbeck.training.optimizer_catalogue import OPTIMIZERS
from limbeck.training.parts import name_and_options
from limbeck.training.settings import TrainingSettings

_OF_OPTIMIZERS = ("momentum", "nesterov", "weight_decay")
_OF_SCHEDULES = {"milestones": "multi-step", "decay": "multi-step", "cooldown": "warmup-stable-decay"}


def unread_settings(settings: TrainingSettings, where: str = "training") -> list[str]:
    """Which settings change nothing, in a sentence for the optimiser and one for the schedule.

    Args:
        settings: of the run; those left at their defaults are not reported.
        where: the part of the recipe that they stand in.

    Example:
        >>> unread_settings(TrainingSettings(epochs=1, optimizer="adamw", momentum=0.8))
        ["`training.momentum` changes nothing: the optimizer 'adamw' reads `learning_rate`, `weight_decay`"]
        >>> unread_settings(TrainingSettings(epochs=1, optimizer="sgd", momentum=0.8))
        []
    """
    optimizer, _ = name_and_options(settings.optimizer, "optimizer")
    schedule, _ = name_and_options(settings.schedule, "schedule")
    read = OPTIMIZERS[optimizer].settings
    unread = [name for name in _OF_OPTIMIZERS if name not in read and _was_set(settings, name)]
    idle = [name for name, reader in _OF_SCHEDULES.items() if schedule != reader and _was_set(settings, name)]
    sentences = []
    if unread:
        sentences.append(f"{_named(unread, where)} changes nothing: the optimizer {optimizer!r} reads {_named(read)}")
    if idle:
        readers = dict.fromkeys(_OF_SCHEDULES[name] for name in idle)
        sentences.append(f"{_named(idle, where)} changes nothing: only {_named(readers)} reads it, not {schedule!r}")
    return sentences


def unreached_rate(settings: TrainingSettings, steps: int, where: str = "training") -> list[str]:
    """A sentence on phases of the schedule that are longer than the run, so that its rate never reaches the full one.

    Args:
        settings: of the run.
        steps: that it has, >= 1.
        where: the part of the recipe that they stand in.

    Example:
        >>> unreached_rate(TrainingSettings(steps=20, warmup=300), 20)[0]
        '`training.warmup` (300 steps) is longer than the run (20), whose rate never reaches `training.learning_rate`'
        >>> unreached_rate(TrainingSettings(steps=20, warmup=5), 20)
        []
    """
    schedule, _ = name_and_options(settings.schedule, "schedule")
    rising, falling = settings.warmup_steps(steps), 0
    if schedule == "warmup-stable-decay":
        falling = settings.cooldown_steps(steps)
    # The last step of the warm-up has the full rate, as the first of the cool-down.
    if max(rising, 1) + max(falling, 1) - 1 <= steps:
        return []
    phases = {"warmup": rising, "cooldown": falling}
    named = " and ".join(f"`{where}.{name}` ({length:,} steps)" for name, length in phases.items() if length)
    are = "are together" if rising and falling else "is"
    return [f"{named} {are} longer than the run ({steps:,}), whose rate never reaches `{where}.learning_rate`"]


def _was_set(settings: TrainingSettings, name: str) -> bool:
    """Whether it was set to something other than the default, as complete recipes state the defaults as well."""
    usual = TrainingSettings.model_fields[name].get_default(call_default_factory=True)
    return name in settings.model_fields_set and getattr(settings, name) != usual


def _named(names: Iterable[str], where: str = "") -> str:
    return ", ".join(f"`{where}.{name}`" if where else f"`{name}`" for name in names)
