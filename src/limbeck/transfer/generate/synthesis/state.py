"""States of parts as tensors under dotted names."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn


def put(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same under longer names."""
    return {f"{prefix}.{name}": tensor for name, tensor in state.items()}


def take(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state that `put` stored under a prefix."""
    start = f"{prefix}."
    return {name[len(start) :]: tensor for name, tensor in state.items() if name.startswith(start)}


def copied(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies, which do not change with what they are taken from."""
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def make_adam(groups: list[dict[str, Any]], betas: tuple[float, float]) -> torch.optim.Adam:
    """Adam that reads weights, gradients and averages in one sweep of memory."""
    return torch.optim.Adam(groups, betas=betas, fused=True)


def step_down(optimiser: torch.optim.Adam, parameters: Sequence[Tensor], gradients: Sequence[Tensor]) -> None:
    """A step of Adam by gradients of any memory layout; fused Adam assumes that of the parameters."""
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = (
            gradient if gradient.stride() == parameter.stride() else torch.empty_like(parameter).copy_(gradient)
        )
    optimiser.step()
    optimiser.zero_grad()


def adam_state(optimiser: torch.optim.Adam) -> dict[str, Tensor]:
    """Averages and counts, by number of the parameter; none before the first step."""
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    return {
        f"{number}.{key}": value
        for number, parameter in enumerate(parameters)
        for key, value in optimiser.state.get(parameter, {}).items()
    }


def load_adam(optimiser: torch.optim.Adam, state: Mapping[str, Tensor]) -> None:
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    optimiser.state.clear()
    for number, parameter in enumerate(parameters):
        for key, value in take(str(number), state).items():
            # Weights and their averages are read in one sweep: both must lie in the same order.
            kept = value.clone() if key == "step" else torch.empty_like(parameter).copy_(value)
            optimiser.state[parameter][key] = kept


def load_module(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copies a state into the module's own memory, whatever the memory layout of the state."""
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            tensor.copy_(state[name])
