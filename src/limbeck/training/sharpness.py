"""Sharpness-aware minimisation: each step uses the gradient at the worst point near the weights.

Foret, Kleiner, Mobahi and Neyshabur, "Sharpness-aware minimization for efficiently improving generalization", ICLR
2021; adaptive: Kwon, Kim, Park and Choi, "ASAM: Adaptive sharpness-aware minimization for scale-invariant learning of
deep neural networks", ICML 2021; with `alpha`: Zhuang, Gong, Yuan, Cui, Adam, Dvornek, Tatikonda, Duncan and Liu,
"Surrogate gap minimization improves sharpness-aware training", ICLR 2022, in the form of Du, Jiang, Tan, Zhou and Li,
"Minimizing the accumulated trajectory error to improve dataset distillation", CVPR 2023.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.training.checks import check_learns
from limbeck.training.random_state import random_state, set_random_state
from limbeck.training.settings import Sharpness, TrainingSettings
from limbeck.training.step import DistillationStep

_TINY = 1e-12
Losses = tuple[Tensor, dict[str, Tensor]]
"""The result of a forward pass: the loss and its terms."""
Forward = Callable[[], Losses]
Backward = Callable[[Tensor], object]


@torch.no_grad()
def perturbation(
    weights: Sequence[Tensor], gradients: Sequence[Tensor], *, rho: float, adaptive: bool = False
) -> list[Tensor]:
    """From the weights w to the worst point near them: rho g / |g|, or rho w^2 g / | |w| g | element by element.

    Args:
        weights: of any shapes.
        gradients: g, of the same shapes; the norm is over all of them together.
        rho: norm of the perturbation, in units of the weights if `adaptive`; > 0.
        adaptive: whether each weight moves in proportion to its size.

    Example:
        >>> perturbation([torch.tensor([2.0, 0.0])], [torch.tensor([3.0, 4.0])], rho=0.5)
        [tensor([0.3000, 0.4000])]
        >>> perturbation([torch.tensor([2.0, 0.0])], [torch.tensor([3.0, 4.0])], rho=0.5, adaptive=True)
        [tensor([1., 0.])]
    """
    if adaptive:
        scale = rho / (
            _length([weight * gradient for weight, gradient in zip(weights, gradients, strict=True)]) + _TINY
        )
        return [weight.square() * gradient * scale for weight, gradient in zip(weights, gradients, strict=True)]
    scale = rho / (_length(gradients) + _TINY)
    return [gradient * scale for gradient in gradients]


@torch.no_grad()
def surrogate_gradient(here: Sequence[Tensor], there: Sequence[Tensor], *, alpha: float) -> list[Tensor]:
    """The gradient g' at the perturbed weights, less `alpha` times the part of the gradient g orthogonal to it.

    g' - alpha (g - (g g' / |g'|^2) g'), which also lowers the gap between the losses at the two points.

    Args:
        here: g, at the weights.
        there: g', at the perturbed weights.
        alpha: >= 0; 0 for g' alone.

    Example:
        >>> surrogate_gradient([torch.tensor([1.0, 1.0])], [torch.tensor([2.0, 0.0])], alpha=0.5)
        [tensor([ 2.0000, -0.5000])]
    """
    kind = _exact(here)
    along = torch.stack([(near * far).sum(dtype=kind) for near, far in zip(here, there, strict=True)]).sum()
    share = along / (_length(there).square() + _TINY)
    return [far - alpha * (near - share * far) for near, far in zip(here, there, strict=True)]


class PlainGradient:
    """One forward and backward pass.

    Args:
        optimizer: its parameters get the gradients.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer

    def __call__(self, forward: Forward, backward: Backward, step: int) -> Losses:
        """See `SharpGradient`."""
        losses = _checked(forward(), step)
        self.optimizer.zero_grad()
        backward(losses[0])
        return losses


class SharpGradient:
    """Two passes over each batch; the gradient of the second, at perturbed weights, replaces that of the first.

    Both see the same views and dropout, and start from the same statistics and memories, which are afterwards those of
    the first pass alone.

    Args:
        step: of the loop; its outputs stay those of the first pass.
        optimizer: its parameters are perturbed.
        settings: how far, and which form.
    """

    def __init__(self, step: DistillationStep, optimizer: torch.optim.Optimizer, settings: Sharpness) -> None:
        self.step = step
        self.optimizer = optimizer
        self.settings = settings

    def __call__(self, forward: Forward, backward: Backward, step: int) -> Losses:
        """Leaves the gradients in the parameters, and returns the losses at the unperturbed weights.

        Args:
            forward: makes a pass and returns its losses.
            backward: puts the gradients of a loss, over all processes' shares, into the parameters.
            step: 0, 1, ..., for messages.

        Raises:
            UserError: no learning parameter affects the loss.
        """
        before = _State.of(self.step)
        losses = _checked(forward(), step)
        self.optimizer.zero_grad()
        backward(losses[0])
        outputs, after = self.step.student_outputs, _State.of(self.step)
        learning = [
            parameter
            for group in self.optimizer.param_groups
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        gradients = [parameter.grad for parameter in learning]
        weights = [parameter.detach().clone() for parameter in learning]
        self.optimizer.zero_grad()  # detaches the gradients, which are kept here
        before.restore()
        try:
            _move(learning, perturbation(weights, gradients, rho=self.settings.rho, adaptive=self.settings.adaptive))
            backward(forward()[0])
        finally:
            _put(learning, weights)  # exact, unlike subtracting the perturbation
            after.restore()
            self.step.student_outputs = outputs
        if self.settings.alpha:
            perturbed = [parameter.grad for parameter in learning]
            _put(perturbed, surrogate_gradient(gradients, perturbed, alpha=self.settings.alpha))
        return losses


def gradient_of(
    step: DistillationStep, optimizer: torch.optim.Optimizer, settings: TrainingSettings
) -> PlainGradient | SharpGradient:
    """How a step computes its gradient, by the settings."""
    if settings.sharpness is None:
        return PlainGradient(optimizer)
    return SharpGradient(step, optimizer, settings.sharpness)


@dataclass(frozen=True)
class _State:
    """All that a pass changes except weights: torch's generators, buffers, and other attributes of an objective."""

    random: Mapping[str, Tensor]
    buffers: Sequence[tuple[nn.Module, str, Tensor, Tensor]]
    attributes: Sequence[tuple[nn.Module, Mapping[str, Any]]]

    @classmethod
    def of(cls, step: DistillationStep) -> "_State":
        # Without the buffers of the classifier itself: they are constants, and large where it whitens images.
        modules = [*step.student.network.modules(), *step.objective.modules()]
        buffers = [
            (module, name, buffer, buffer.clone())
            for module in modules
            for name, buffer in module.named_buffers(recurse=False)
        ]
        attributes = [
            (module, {name: value for name, value in vars(module).items() if name not in _OF_TORCH})
            for module in step.objective.modules()
        ]
        return cls(random_state(), buffers, attributes)

    @torch.no_grad()
    def restore(self) -> None:
        set_random_state(self.random)
        for module, name, buffer, content in self.buffers:
            # The same tensor objects, which compiled code and distributed training refer to; a pass may replace them.
            setattr(module, name, buffer.copy_(content))
        for module, values in self.attributes:
            vars(module).update(values)


_OF_TORCH = frozenset(vars(nn.Module()))


def _checked(losses: Losses, step: int) -> Losses:
    check_learns(losses[0], step, list(losses[1]))
    return losses


@torch.no_grad()
def _move(weights: Sequence[Tensor], ways: Sequence[Tensor]) -> None:
    for weight, offset in zip(weights, ways, strict=True):
        weight.add_(offset)


@torch.no_grad()
def _put(places: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    for place, value in zip(places, values, strict=True):
        place.copy_(value)


def _length(tensors: Sequence[Tensor]) -> Tensor:
    """The norm of all tensors as one vector, a scalar."""
    kind = _exact(tensors)
    return torch.stack([torch.linalg.vector_norm(tensor, dtype=kind) for tensor in tensors]).norm()


def _exact(tensors: Sequence[Tensor]) -> torch.dtype:
    """The type to add up in, for tensors of possibly several types."""
    return torch.float64 if any(tensor.dtype == torch.float64 for tensor in tensors) else torch.float32
