"""The learning rate as a pure function of the step, and the optimiser that it is set on."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import nn

from limbeck.data.transfer_set import TransferSet
from limbeck.errors import UserError
from limbeck.models.shared_memory import is_dense
from limbeck.objectives.sums import WeightedSum
from limbeck.training.optimizer_catalogue import OPTIMIZERS
from limbeck.training.own_schedules import Rate
from limbeck.training.parts import name_and_options
from limbeck.training.schedule_catalogue import SCHEDULES
from limbeck.training.settings import TrainingSettings

UNLEARNED_RATE = 0.01
"""The rate for `learning_rate: learned` where a transfer set carries none."""


def learning_rate(step: int, total: int, settings: TrainingSettings) -> float:
    """Rate of step 0, 1, ... `total` - 1: linear warm-up, then cosine to 0, multi-step, constant, constant with a
    linear decay to 0 at the end (warmup-stable-decay), or the user's own.

    Source of warmup-stable-decay: Hägele et al., "Scaling laws and compute-optimal training beyond fixed training
    durations", NeurIPS 2024, https://arxiv.org/abs/2405.18392.
    """
    return schedule_of(total, settings)(step).rate


def schedule_of(total: int, settings: TrainingSettings) -> Callable[[int], Rate]:
    """Step 0, 1, ... `total` - 1 -> its rate, and what else the schedule changes.

    Raises:
        UserError: a schedule of the user's own fails, or gives no rate.
    """
    warmup, rate = settings.warmup_steps(total), settings.rate
    name, options = name_and_options(settings.schedule, "schedule")
    make, own = SCHEDULES[name].made_by, None
    if make is not None:
        # A separate optimiser, since some of torch's schedules change momenta, too.
        spare = make_optimizer([nn.Parameter(torch.zeros(1, 1))], settings)
        own = make(max(1, total - warmup), spare, **options)

    def falling(step: int) -> float:
        return rate * min(1.0, (total - step) / settings.cooldown_steps(total))

    def at(step: int) -> Rate:
        if step < warmup:
            risen = rate * (step + 1) / warmup
            # Where the rate falls before it has risen, it turns where the two meet, and does not jump.
            return Rate(min(risen, falling(step)) if name == "warmup-stable-decay" else risen)
        if own is not None:
            return own(step - warmup)
        if name == "cosine":
            return Rate(rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup))))
        if name == "multi-step":
            passed = sum(step >= round(milestone * total) for milestone in settings.milestones)
            return Rate(rate * settings.decay**passed)
        if name == "warmup-stable-decay":
            return Rate(falling(step))
        return Rate(rate)

    return at


def validation_steps(total: int, count: int) -> set[int]:
    """After which steps a run validates, `count` times evenly spaced and at its end."""
    return {round(total * k / count) for k in range(1, count + 1)} - {0}


def with_rate(settings: TrainingSettings, transfer_set: TransferSet) -> TrainingSettings:
    """Settings with the rate that a transfer set carries in place of "learned".

    Raises:
        UserError: it carries something other than a rate.
    """
    if settings.learning_rate != "learned":
        return settings
    training = (transfer_set.use or {}).get("training", {})
    rate = training.get("learning_rate", UNLEARNED_RATE)
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not rate > 0:
        raise UserError(
            "the learning rate that the transfer set carries, `learning_rate` under `training` of its `use`, must be a "
            f"number > 0, got {rate!r}; set `training.learning_rate` to a number."
        )
    return settings.model_copy(update={"learning_rate": float(rate)})


def make_optimizer(parameters: Iterable[nn.Parameter], settings: TrainingSettings) -> torch.optim.Optimizer:
    """The optimiser of `parameters`: SGD or AdamW, fused into one pass over memory where each parameter has dense
    memory of its own; or another one of torch's or the user's.

    Raises:
        UserError: the user's function does not make an optimiser.
    """
    parameters = list(parameters)
    name, options = name_and_options(settings.optimizer, "optimizer")
    make = OPTIMIZERS[name].made_by
    if make is not None:
        return make(parameters, lr=settings.rate, weight_decay=settings.weight_decay, **options)
    storages = {parameter.untyped_storage().data_ptr() for parameter in parameters}
    # Fused optimisers treat each parameter as contiguous numbers, and would write into the gaps of a strided one.
    whole = all(parameter.is_floating_point() and is_dense(parameter) for parameter in parameters)
    fused = whole and len(storages) == len(parameters)
    arguments: dict[str, Any] = (
        options if {"foreach", "fused", "differentiable"} & options.keys() else {"fused": fused, **options}
    )
    if name == "adamw":
        return torch.optim.AdamW(parameters, lr=settings.rate, weight_decay=settings.weight_decay, **arguments)
    return torch.optim.SGD(
        parameters,
        lr=settings.rate,
        momentum=settings.momentum,
        nesterov=settings.nesterov,
        weight_decay=settings.weight_decay,
        **arguments,
    )


@dataclass(frozen=True)
class Phases:
    """Which step belongs to which phase, and their learning rates.

    Args:
        preparing: steps of the first phase; 0 for most objectives.
        total: steps of the run.
        rate: constant share of the learning rate in the first phase.
        settings: schedule of the second phase, which runs through all of it.
    """

    preparing: int
    total: int
    rate: float
    settings: TrainingSettings

    @classmethod
    def of(cls, objective: WeightedSum, settings: TrainingSettings, total: int) -> "Phases":
        """The phases of a run; raises a UserError for a schedule that fails."""
        share = objective.preparing_share
        # At least one step of each phase, if there are two.
        steps = min(total - 1, max(1, round(share * total))) if share else 0
        phases = cls(steps, total, objective.preparing_rate, settings)
        phases.learning_rate(steps)  # a schedule of the user's own may fail here, before the first step
        return phases

    @property
    def stable(self) -> int | None:
        """Steps before the rate falls at the end of warmup-stable-decay; None for other schedules."""
        if self.settings.schedule != "warmup-stable-decay":
            return None
        return max(self.preparing, self.total - self.settings.cooldown_steps(self.total - self.preparing))

    def is_preparing(self, step: int) -> bool:
        return step < self.preparing

    def elapsed(self, step: int) -> float:
        """Share of the second phase that is done before `step`, in [0, 1)."""
        return max(0, step - self.preparing) / (self.total - self.preparing)

    def learning_rate(self, step: int) -> float:
        return self._at(step).rate

    def set_rate(self, optimizer: torch.optim.Optimizer, step: int) -> float:
        """Sets the rate of a step (and what else the schedule changes) on an optimiser; returns the learning rate."""
        now = self._at(step)
        for group in optimizer.param_groups:
            group["lr"] = now.rate * group.get("lr_scale", 1.0)
            group.update(now.beside)
        return now.rate

    def _at(self, step: int) -> Rate:
        return (
            Rate(self.rate * self.settings.rate) if self.is_preparing(step) else self._schedule(step - self.preparing)
        )

    @cached_property
    def _schedule(self) -> Callable[[int], Rate]:
        return schedule_of(self.total - self.preparing, self.settings)
