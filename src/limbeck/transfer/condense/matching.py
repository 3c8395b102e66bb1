"""Trajectory matching: how images, labels and rate must change for steps on them to lead where an expert went.

Cazenave et al., "Dataset distillation by matching training trajectories", CVPR 2022; the drop of Wang et al.,
"Emphasizing discriminative features for dataset distillation in complex scenarios", CVPR 2025.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.autograd import grad
from torch.nn import functional as F

from limbeck.errors import UserError, unknown_name
from limbeck.transfer.condense.flat import FlatNetwork

GradientKind = Literal["exact", "unrolled", "tesla"]


class Views(Protocol):
    """Augmentation of inputs `[B, C, H, W]` that is a pure function of its draw."""

    def apply(self, images: Tensor, draw: Any, /) -> Tensor: ...


class Step(NamedTuple):
    """One step of gradient descent.

    Attributes:
        rows: int64 `[b]`, of the images that it sees.
        draw: of its views, see `NormalisedViews.draw`; None without views.
    """

    rows: Tensor
    draw: Any = None


class Gradients(NamedTuple):
    """The loss of a way, and its gradients.

    Attributes:
        loss: scalar.
        inputs: `[N, C, H, W]`; zero for images that no step saw.
        labels: `[N, K]`; None for hard ones.
        rate: scalar.
        final: `[P]`, the parameters that the steps led to.
    """

    loss: Tensor
    inputs: Tensor
    labels: Tensor | None
    rate: Tensor
    final: Tensor


def soft_cross_entropy(logits: Tensor, target_logits: Tensor) -> Tensor:
    r"""Cross entropy with soft labels, which are logits themselves, at temperature 1.

    $$ -\frac1B \sum_i \sum_k \mathrm{softmax}(y_i)_k \log \mathrm{softmax}(f_i)_k $$

    Args:
        logits: $f$, `[B, K]`.
        target_logits: $y$, `[B, K]`; the gradient reaches them, too.

    Example:
        >>> soft_cross_entropy(torch.zeros(2, 4), torch.randn(2, 4))  # log 4
        tensor(1.3863)
    """
    return -(target_logits.softmax(1) * logits.log_softmax(1)).sum(1).mean()


def matching_loss(final: Tensor, start: Tensor, target: Tensor, drop: float = 0.0) -> Tensor:
    r"""Squared distance to the expert's target, as a share of how far the expert went.

    $$ \frac{\sum_{j \in S} (\hat\theta_j - \theta^*_j)^2}{\sum_{j \in S} (\theta_j - \theta^*_j)^2} $$

    Args:
        final: $\hat\theta$ `[P]`, to which the gradient goes.
        start: $\theta$ `[P]`.
        target: $\theta^*$ `[P]`.
        drop: share of the parameters that are left out of both sums, those with the least of the loss (common pattern
            dropout); rounded down, and one is always kept.

    Example:
        >>> matching_loss(torch.tensor([1.0, 0.0]), torch.zeros(2), torch.tensor([1.0, 2.0]), drop=0.5)
        tensor(1.)
    """
    dropped = min(int(drop * len(final)), len(final) - 1)
    if dropped:
        # Stable, so that of equal ones it is always the same that stay.
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
) -> Gradients:
    r"""`matching_loss` after steps of gradient descent from `start` on the images, and its gradients.

    $\theta_{t+1} = \theta_t - \eta\, g_t$ with $g_t$ the gradient of the cross entropy on the images of step $t$. All
    that is computed has the type of `start`.

    The exact gradient costs no more memory than one step and a vector of parameters for each. The steps are taken
    without a graph; then, from the last to the first, $g_t$ is made again, and $\lambda = \partial L / \partial
    \theta_{t+1}$ is pulled back through it:

    $$ \lambda_t = \lambda - \eta \lambda^\top \frac{\partial g_t}{\partial \theta_t}, \quad
       \frac{\partial L}{\partial x} \mathrel{-}= \eta \lambda^\top \frac{\partial g_t}{\partial x}, \quad
       \frac{\partial L}{\partial y} \mathrel{-}= \eta \lambda^\top \frac{\partial g_t}{\partial y}, \quad
       \frac{\partial L}{\partial \eta} \mathrel{-}= \lambda^\top g_t $$

    Args:
        network: P parameters.
        start: `[P]`, of the expert, where the steps begin.
        target: `[P]`, of the expert some epochs later.
        inputs: `[N, C, H, W]`, normalised.
        labels: logits `[N, K]` or class numbers int64 `[N]`.
        rate: $\eta$, scalar.
        steps: which images each step sees, in which views.
        views: that images are seen in; their gradient goes through them.
        drop: see `matching_loss`.
        gradient: "exact"; "unrolled", the same by keeping the graph of all steps, whose memory grows with their number;
            or "tesla" (Cui et al., ICML 2023), which leaves $\lambda$ as it is: an approximation, the less like the
            gradient the more steps there are.

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
    kinds: dict[str, Callable[[_Way], Gradients]] = {"exact": _exact, "unrolled": _unrolled, "tesla": _tesla}
    if gradient not in kinds:
        raise unknown_name("gradient", gradient, kinds)
    tensors = start.detach(), target.detach(), inputs.detach(), labels.detach(), rate.detach()
    return kinds[gradient](_Way(network, *tensors, steps, views, drop))


class _Way(NamedTuple):
    network: FlatNetwork
    start: Tensor
    target: Tensor
    inputs: Tensor
    labels: Tensor
    rate: Tensor
    steps: Sequence[Step]
    views: Views | None
    drop: float

    def descent(self, theta: Tensor, inputs: Tensor, labels: Tensor, draw: object, *, graph: bool) -> Tensor:
        """The gradient at `theta` of the cross entropy on images and labels of one step."""
        seen = inputs if self.views is None else self.views.apply(inputs, draw)
        logits = self.network.logits(theta, seen)
        loss = soft_cross_entropy(logits, labels) if labels.is_floating_point() else F.cross_entropy(logits, labels)
        return grad(loss, theta, create_graph=graph)[0]

    def loss(self, final: Tensor) -> Tensor:
        return matching_loss(final, self.start, self.target, self.drop)


def _exact(way: _Way) -> Gradients:
    return _backwards(way, through_parameters=True)


def _tesla(way: _Way) -> Gradients:
    return _backwards(way, through_parameters=False)


def _backwards(way: _Way, *, through_parameters: bool) -> Gradients:
    thetas = list(_walk(way))
    final = _leaf(thetas.pop())
    loss = way.loss(final)
    (pulled,) = grad(loss, final)
    of_inputs, of_rate = torch.zeros_like(way.inputs), torch.zeros_like(way.rate)
    of_labels = torch.zeros_like(way.labels) if way.labels.is_floating_point() else None
    for step in reversed(way.steps):
        theta = _leaf(thetas.pop())
        inputs, labels = _leaf(way.inputs[step.rows]), way.labels[step.rows]
        wanted = [inputs]
        if of_labels is not None:
            wanted.append(_leaf(labels))
            labels = wanted[-1]
        if through_parameters:
            wanted.append(theta)
        descent = way.descent(theta, inputs, labels, step.draw, graph=True)
        found = grad(descent, wanted, pulled, materialize_grads=True)
        of_rate -= pulled @ descent.detach()
        of_inputs.index_add_(0, step.rows, way.rate * found[0], alpha=-1)
        if of_labels is not None:
            of_labels.index_add_(0, step.rows, way.rate * found[1], alpha=-1)
        if through_parameters:
            pulled = pulled - way.rate * found[-1]
    return Gradients(loss.detach(), of_inputs, of_labels, of_rate, final.detach())


def _walk(way: _Way) -> Iterator[Tensor]:
    """Parameters before each step and after the last."""
    theta = way.start
    yield theta
    for step in way.steps:
        descent = way.descent(_leaf(theta), way.inputs[step.rows], way.labels[step.rows], step.draw, graph=False)
        theta = theta - way.rate * descent
        yield theta


def _unrolled(way: _Way) -> Gradients:
    theta, inputs, rate = _leaf(way.start), _leaf(way.inputs), _leaf(way.rate)
    labels = _leaf(way.labels) if way.labels.is_floating_point() else way.labels
    for step in way.steps:
        theta = theta - rate * way.descent(theta, inputs[step.rows], labels[step.rows], step.draw, graph=True)
    loss = way.loss(theta)
    wanted = [inputs, rate, labels] if labels.requires_grad else [inputs, rate]
    of_inputs, of_rate, *of_labels = grad(loss, wanted, materialize_grads=True)
    return Gradients(loss.detach(), of_inputs, of_labels[0] if of_labels else None, of_rate, theta.detach())


def _leaf(tensor: Tensor) -> Tensor:
    return tensor.detach().requires_grad_()
