"""What every optimiser must do: take steps that help, at the rate of its groups, and go on after a resume."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.testing.assertions import ensure, ensure_equal, ensure_finite
from limbeck.training.own_optimizers import check_optimizes
from limbeck.training.schedule import make_optimizer
from limbeck.training.settings import TrainingSettings

Options = dict[str, Any]


def _settings(name: str, options: Options) -> TrainingSettings:
    return TrainingSettings(steps=1, optimizer={name: options}, learning_rate=0.02)


def _descended(name: str, options: Options, *, rate: float, steps: int = 40) -> tuple[Tensor, Tensor]:
    """The distance of two tensors from what they are to be, before and after some steps."""
    numbers = torch.Generator().manual_seed(0)
    weights = [nn.Parameter(torch.randn(shape, generator=numbers)) for shape in ((4, 3, 3, 3), (5,))]
    aims = [torch.randn(weight.shape, generator=numbers) for weight in weights]

    def distance() -> Tensor:
        return torch.stack([(weight - aim).square().sum() for weight, aim in zip(weights, aims, strict=True)]).sum()

    optimizer = make_optimizer(weights, _settings(name, options))
    before = distance().detach()
    for group in optimizer.param_groups:
        group["lr"] = rate
    for _ in range(steps):
        optimizer.zero_grad()
        distance().backward()
        optimizer.step()
    return before, distance().detach()


def steps_lead_downhill(name: str, options: Options) -> None:
    before, after = _descended(name, options, rate=0.02)
    ensure_finite(after, f"what {name} makes of weights")
    ensure(bool(after < before), f"{name} must lower a squared distance, from {before:.4g}, got {after:.4g}")


def steps_are_the_same_twice(name: str, options: Options) -> None:
    once, again = (_descended(name, options, rate=0.02, steps=5)[1] for _ in range(2))
    ensure_equal(once, again, f"{name} must take the same steps of the same gradients")


def goes_by_the_rate_of_its_groups(name: str, options: Options) -> None:
    """Schedules write there."""
    slow, fast = (_descended(name, options, rate=rate, steps=3)[1] for rate in (1e-5, 0.02))
    ensure(not torch.equal(slow, fast), f"{name} must go by the `lr` of its `param_groups`, which schedules change")


def goes_on_after_a_resume(name: str, options: Options) -> None:
    """To the bit, and from gradients alone."""

    def make(parameters: Any, *, lr: float, weight_decay: float, **arguments: Any) -> torch.optim.Optimizer:
        settings = TrainingSettings(
            steps=1, optimizer={name: arguments}, learning_rate=lr, weight_decay=weight_decay, momentum=0.9
        )
        return make_optimizer(parameters, settings)

    check_optimizes(make, f"optimizer {name!r}", options)


CHECKS: Mapping[str, Callable[..., None]] = {
    "steps lead downhill": steps_lead_downhill,
    "steps are the same twice": steps_are_the_same_twice,
    "goes by the rate of its groups": goes_by_the_rate_of_its_groups,
    "goes on after a resume": goes_on_after_a_resume,
}
