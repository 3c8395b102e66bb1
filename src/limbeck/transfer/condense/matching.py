"""Trajectory matching: how images, labels and rate must change for steps on them to lead where an expert went.

Cazenavette et al., "Dataset distillation by matching training trajectories", CVPR 2022; the drop of Wang et al.,
"Emphasizing discriminative features for dataset distillation in complex scenarios", CVPR 2025.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.autograd import grad

from limbeck.errors import UserError, unknown_name
from limbeck.transfer.condense.flat_network import FlatNetwork
from limbeck.transfer.condense.step_gradients import StepGradients, StepVJP, leaf

GradientKind = Literal["exact", "unrolled", "tesla"]


class Views(Protocol):
    """Augmentation of inputs `[B, C, H, W]` that is a pure function of its draw."""

    def apply(self, images: Tensor, draw: Any, /) -> Tensor: ...


class Step(NamedTuple):
    """One step of gradient descent.

    Attributes:
        rows: int64 `[b]`, of the images in its batch.
        draw: of its views, see `NormalisedViews.draw`; None without views.
    """

    rows: Tensor
    draw: Any = None


class Gradients(NamedTuple):
    """The loss of an inner loop, and its gradients.

    Attributes:
        loss: scalar.
        inputs: `[N, C, H, W]`; zero for images that no step saw.
        labels: `[N, K]`; None for hard ones.
        rate: scalar.
        final: `[P]`, the parameters after the last step.
    """

    loss: Tensor
    inputs: Tensor
    labels: Tensor | None
    rate: Tensor
    final: Tensor


def matching_loss(final: Tensor, start: Tensor, target: Tensor, drop: float = 0.0) -> Tensor:
    """Squared distance to the expert's target, relative to the squared distance that the expert went.

    `sum_j (final_j - target_j)² / sum_j (start_j - target_j)²`, over the parameters j that are not dropped.

    Args:
        final: `[P]`, to which the gradient goes.
        start: `[P]`.
        target: `[P]`.
        drop: share of the parameters that are left out of both sums, those with the least of the loss (common pattern
            dropout), in [0, 1]; rounded down, and one is always kept.

    Raises:
        UserError: another `drop`.

    Example:
        >>> matching_loss(torch.tensor([1.0, 0.0]), torch.zeros(2), torch.tensor([1.0, 2.0]), drop=0.5)
        tensor(1.)
    """
    if not 0 <= drop <= 1:
        raise UserError(f"`drop` must be a share from 0 to 1, got {drop!r}.")
    dropped = min(int(drop * len(final)), len(final) - 1)
    if dropped:
        # Stable, so that ties always keep the same parameters.
        kept = (final - target).detach().square().sort(stable=True).indices[dropped:]
        final, start, target = final[kept], start[kept], target[kept]
    return (final - target).square().sum() / (start - target).square().sum()


def matching_gradients(
    network: FlatNetwork,
    start: Tensor,
    target: Tensor,
    inputs: Tensor,
    labels: Tensor,
    rate: Tensor,
    *,
    steps: Sequence[Step],
    views: Views | None = None,
    drop: float = 0.0,
    gradient: GradientKind = "exact",
    chunk: int | None = None,
    computing: StepGradients | None = None,
) -> Gradients:
    """`matching_loss` after steps of gradient descent from `start` on the images, and its gradients.

    `θ(t+1) = θ(t) - η g(t)`, with g(t) the gradient of the cross entropy on the images of step t. Everything has the
    dtype of `start`.

    The exact gradient takes no more memory than one step, and one vector of parameters per step. The steps are taken
    without a graph; then, from the last to the first, g(t) is computed again, and `λ = ∂L/∂θ(t+1)` is pulled back
    through it, which gives `λ - η λᵀ ∂g(t)/∂θ(t)` for the step before. From the loss's gradients by images x, labels y
    and rate η each step subtracts `η λᵀ ∂g(t)/∂x`, `η λᵀ ∂g(t)/∂y` and `λᵀ g(t)`.

    Args:
        network: has P parameters.
        start: `[P]`, the expert's parameters where the steps begin.
        target: `[P]`, the expert's parameters some epochs later.
        inputs: `[N, C, H, W]`, normalised.
        labels: logits `[N, K]` or class numbers int64 `[N]`.
        rate: η, scalar.
        steps: batch and views of each step.
        views: augmentation of the images; gradients go through it. None for none.
        drop: see `matching_loss`.
        gradient: "exact"; "unrolled", the same, but keeps the graph of all steps, so that memory grows with their
            number; or "tesla" (Cui et al., ICML 2023), which leaves λ as it is: an approximation that gets worse with
            the number of steps.
        chunk: images of a step that the network sees at a time, with which memory grows; the gradients are the same but
            for rounding, as images do not affect each other. None for all; "unrolled" ignores it.
        computing: computes the gradients of this network's steps; may be reused from call to call. None makes one for
            this call.

    Raises:
        UserError: `start` and `target` are equal, or `gradient` is none of these.

    Example:
        >>> network = FlatNetwork(lb.create("convnet_d3", num_classes=10, input_size=8, width=4))
        >>> start = network.vector(network.classifier)
        >>> inputs, labels = torch.randn(10, 3, 8, 8), torch.arange(10)
        >>> steps = [Step(torch.arange(5)), Step(torch.arange(5, 10))]
        >>> found = matching_gradients(network, start, 0.9 * start, inputs, labels, torch.tensor(0.01), steps=steps)
        >>> found.inputs.shape == inputs.shape, found.labels is None
        (True, True)
    """
    if torch.equal(start, target):
        raise UserError(
            "`target` must differ from `start`, got equal vectors: were snapshots of the expert kept as copies?"
        )
    kinds: dict[str, Callable[[_InnerLoop], Gradients]] = {"exact": _exact, "unrolled": _unrolled, "tesla": _tesla}
    if gradient not in kinds:
        raise unknown_name("gradient", gradient, kinds)
    tensors = start.detach(), target.detach(), inputs.detach(), labels.detach(), rate.detach()
    return kinds[gradient](_InnerLoop(computing or StepGradients(network), *tensors, steps, views, drop, chunk))


class _InnerLoop(NamedTuple):
    computing: StepGradients
    start: Tensor
    target: Tensor
    inputs: Tensor
    labels: Tensor
    rate: Tensor
    steps: Sequence[Step]
    views: Views | None
    drop: float
    chunk: int | None

    def chunks(self, images: int) -> int | None:
        """How many of a step's images are seen at a time; None for all."""
        return self.chunk if self.chunk is not None and self.chunk < images else None

    def seen(self, inputs: Tensor, draw: object) -> Tensor:
        """The augmented images of a step, `[b, C, H, W]`."""
        return inputs if self.views is None else self.views.apply(inputs, draw)

    def loss(self, final: Tensor) -> Tensor:
        return matching_loss(final, self.start, self.target, self.drop)


def _exact(inner: _InnerLoop) -> Gradients:
    return _backwards(inner, through_parameters=True)


def _tesla(inner: _InnerLoop) -> Gradients:
    return _backwards(inner, through_parameters=False)


def _backwards(inner: _InnerLoop, *, through_parameters: bool) -> Gradients:
    thetas = list(_trajectory(inner))
    final = leaf(thetas.pop())
    loss = inner.loss(final)
    (pulled,) = grad(loss, final)
    of_inputs, of_rate = torch.zeros_like(inner.inputs), torch.zeros_like(inner.rate)
    of_labels = torch.zeros_like(inner.labels) if inner.labels.is_floating_point() else None
    for step in reversed(inner.steps):
        pull = _pull if inner.chunks(len(step.rows)) is None else _pull_chunks
        vjp = pull(inner, step, thetas.pop(), pulled, through_parameters=through_parameters)
        of_rate -= pulled @ vjp.descent
        of_inputs.index_add_(0, step.rows, inner.rate * vjp.inputs, alpha=-1)
        if of_labels is not None:
            of_labels.index_add_(0, step.rows, inner.rate * vjp.labels, alpha=-1)
        if through_parameters:
            pulled = pulled - inner.rate * vjp.theta
    return Gradients(loss.detach(), of_inputs, of_labels, of_rate, final.detach())


def _pull(inner: _InnerLoop, step: Step, theta: Tensor, pulled: Tensor, *, through_parameters: bool) -> StepVJP:
    inputs = leaf(inner.inputs[step.rows])
    seen = inner.seen(inputs, step.draw)  # [b, C, H, W]
    labels = inner.labels[step.rows]
    vjp = inner.computing.pull(theta, seen.detach(), labels, pulled, through_parameters=through_parameters)
    return vjp._replace(inputs=_before_views(vjp.inputs, seen, inputs))


def _pull_chunks(inner: _InnerLoop, step: Step, theta: Tensor, pulled: Tensor, *, through_parameters: bool) -> StepVJP:
    """`_pull` by chunks: the mean over all images is the mean of the chunks' means, weighted by their sizes."""
    inputs, labels = leaf(inner.inputs[step.rows]), inner.labels[step.rows]
    seen, count = inner.seen(inputs, step.draw), len(inputs)  # [b, C, H, W]
    of_seen = torch.empty_like(seen)
    of_labels = torch.empty_like(labels, dtype=theta.dtype)  # meaningless for hard labels
    descent, of_theta = torch.zeros_like(theta), torch.zeros_like(theta)
    for rows in torch.arange(count, device=inputs.device).split(inner.chunks(count) or count):
        share = len(rows) / count
        chunk = seen[rows].detach(), labels[rows]
        vjp = inner.computing.pull(theta, *chunk, pulled, through_parameters=through_parameters)
        of_seen[rows] = share * vjp.inputs
        if labels.is_floating_point():
            of_labels[rows] = share * vjp.labels
        descent.add_(vjp.descent, alpha=share)
        of_theta.add_(vjp.theta, alpha=share)
    return StepVJP(descent, _before_views(of_seen, seen, inputs), of_labels, of_theta)


def _before_views(of_seen: Tensor, seen: Tensor, inputs: Tensor) -> Tensor:
    """The gradient by images, pulled back through views from that by augmented images."""
    return of_seen if seen is inputs else grad(seen, inputs, of_seen)[0]


def _trajectory(inner: _InnerLoop) -> Iterator[Tensor]:
    """Parameters before each step and after the last."""
    theta = inner.start
    yield theta
    for step in inner.steps:
        theta = theta - inner.rate * _descent(inner, step, theta)
        yield theta


def _descent(inner: _InnerLoop, step: Step, theta: Tensor) -> Tensor:
    """The gradient of a step at `theta`, computed by chunks where images come in chunks."""
    seen, labels = inner.seen(inner.inputs[step.rows], step.draw), inner.labels[step.rows]
    if (chunk := inner.chunks(len(seen))) is None:
        return inner.computing.descent(theta, seen, labels)
    descent = torch.zeros_like(theta)
    for part, part_labels in zip(seen.split(chunk), labels.split(chunk), strict=True):
        descent.add_(inner.computing.descent(theta, part, part_labels), alpha=len(part) / len(seen))
    return descent


def _unrolled(inner: _InnerLoop) -> Gradients:
    theta, inputs, rate = leaf(inner.start), leaf(inner.inputs), leaf(inner.rate)
    labels = leaf(inner.labels) if inner.labels.is_floating_point() else inner.labels
    for step in inner.steps:
        seen = inner.seen(inputs[step.rows], step.draw)
        theta = theta - rate * inner.computing.graph(theta, seen, labels[step.rows])
    loss = inner.loss(theta)
    variables = [inputs, rate, labels] if labels.requires_grad else [inputs, rate]
    of_inputs, of_rate, *of_labels = grad(loss, variables, materialize_grads=True)
    return Gradients(loss.detach(), of_inputs, of_labels[0] if of_labels else None, of_rate, theta.detach())
