"""The learning rate as a pure function of the step, and the optimiser that it drives."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from limbeck.data.transfer_set import TransferSet
from limbeck.errors import UserError
from limbeck.models.shared_memory import is_dense
from limbeck.objectives.sums import WeightedSum
from limbeck.training.settings import TrainingSettings

UNLEARNED_RATE = 0.01
"""Of `learning_rate: learned` where a transfer set carries none."""


def learning_rate(step: int, total: int, settings: TrainingSettings) -> float:
    """Rate of step 0, 1, ... `total` - 1: linear warm-up, then cosine to 0, multi-step, constant, or constant up to a
    linear fall to 0 (warmup-stable-decay).

    Source: of the last, Hägele et al., "Scaling laws and compute-optimal training beyond fixed training durations",
    NeurIPS 2024, https://arxiv.org/abs/2405.18392.
    """
    warmup = settings.warmup_steps(total)
    if step < warmup:
        return settings.rate * (step + 1) / warmup
    if settings.schedule == "cosine":
        return settings.rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))
    if settings.schedule == "multi-step":
        passed = sum(step >= round(milestone * total) for milestone in settings.milestones)
        return settings.rate * settings.decay**passed
    if settings.schedule == "warmup-stable-decay":
        return settings.rate * min(1.0, (total - step) / settings.cooldown_steps(total))
    return settings.rate


def validation_steps(total: int, count: int) -> set[int]:
    """After which steps a run validates, `count` times evenly spaced and at its end."""
    return {round(total * k / count) for k in range(1, count + 1)} - {0}


def with_rate(settings: TrainingSettings, transfer_set: TransferSet) -> TrainingSettings:
    """Settings with the rate that a transfer set carries in place of "learned".

    Raises:
        UserError: what it carries is no rate.
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
    """SGD or AdamW over `parameters`, fused into one pass over memory where each of them is one piece of its own."""
    parameters = list(parameters)
    storages = {one.untyped_storage().data_ptr() for one in parameters}
    # The fused ones take every parameter for a row of numbers, and would write between those of a strided one.
    whole = all(one.is_floating_point() and is_dense(one) for one in parameters)
    fused = whole and len(storages) == len(parameters)
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(parameters, lr=settings.rate, weight_decay=settings.weight_decay, fused=fused)
    return torch.optim.SGD(
        parameters,
        lr=settings.rate,
        momentum=settings.momentum,
        nesterov=settings.nesterov,
        weight_decay=settings.weight_decay,
        fused=fused,
    )


@dataclass(frozen=True)
class Phases:
    """Which step belongs to which phase, and the learning rate of both.

    Args:
        preparing: steps of the first phase; 0 for most objectives.
        total: steps of the run.
        rate: share of the learning rate that the first phase has, throughout.
        settings: schedule of the second phase, which it passes through in whole.
    """

    preparing: int
    total: int
    rate: float
    settings: TrainingSettings

    @classmethod
    def of(cls, objective: WeightedSum, settings: TrainingSettings, total: int) -> "Phases":
        share = objective.preparing_share
        # At least a step of either phase, if there are two.
        steps = min(total - 1, max(1, round(share * total))) if share else 0
        return cls(steps, total, objective.preparing_rate, settings)

    @property
    def stable(self) -> int | None:
        """Steps before the rate falls at the end of warmup-stable-decay; None of other schedules."""
        if self.settings.schedule != "warmup-stable-decay":
            return None
        return max(self.preparing, self.total - self.settings.cooldown_steps(self.total - self.preparing))

    def is_preparing(self, step: int) -> bool:
        return step < self.preparing

    def elapsed(self, step: int) -> float:
        """Share of the second phase that is done before `step`, in [0, 1)."""
        return max(0, step - self.preparing) / (self.total - self.preparing)

    def learning_rate(self, step: int) -> float:
        if self.is_preparing(step):
            return self.rate * self.settings.rate
        return learning_rate(step - self.preparing, self.total - self.preparing, self.settings)
