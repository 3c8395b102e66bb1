"""The learning rate as a pure function of the step, and the optimiser that it drives."""

import math
from collections.abc import Iterable

import torch
from torch import nn

from limbeck.models.shared_memory import is_dense
from limbeck.training.settings import TrainingSettings


def learning_rate(step: int, total: int, settings: TrainingSettings) -> float:
    """Rate of step 0, 1, ... `total` - 1: linear warm-up, then cosine to 0, multi-step or constant."""
    warmup = round(settings.warmup * total)
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    if settings.schedule == "cosine":
        return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))
    if settings.schedule == "multi-step":
        passed = sum(step >= round(milestone * total) for milestone in settings.milestones)
        return settings.learning_rate * settings.decay**passed
    return settings.learning_rate


def make_optimizer(parameters: Iterable[nn.Parameter], settings: TrainingSettings) -> torch.optim.Optimizer:
    """SGD or AdamW over `parameters`, fused into one pass over memory where each of them is one piece of its own."""
    parameters = list(parameters)
    storages = {one.untyped_storage().data_ptr() for one in parameters}
    # The fused ones take every parameter for a row of numbers, and would write between those of a strided one.
    whole = all(one.is_floating_point() and is_dense(one) for one in parameters)
    fused = whole and len(storages) == len(parameters)
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=fused)
    return torch.optim.SGD(
        parameters,
        lr=settings.learning_rate,
        momentum=settings.momentum,
        nesterov=settings.nesterov,
        weight_decay=settings.weight_decay,
        fused=fused,
    )
