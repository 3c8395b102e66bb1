"""The gradient of one step on images, and its vector-Jacobian products."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd import grad
from torch.nn import functional as F

from limbeck.transfer.condense.cuda_graphs import Replayed
from limbeck.transfer.condense.flat_network import FlatNetwork


def soft_cross_entropy(logits: Tensor, target_logits: Tensor) -> Tensor:
    """Cross entropy with soft labels that are given as logits, at temperature 1.

    `-mean_i sum_k softmax(y_i)_k log softmax(f_i)_k`

    Args:
        logits: f, `[B, K]`.
        target_logits: y, `[B, K]`; the gradient reaches them, too.

    Example:
        >>> soft_cross_entropy(torch.zeros(2, 4), torch.randn(2, 4))  # log 4
        tensor(1.3863)
    """
    return -(target_logits.softmax(1) * logits.log_softmax(1)).sum(1).mean()


class StepVJP(NamedTuple):
    """The gradient of a step, and the gradients of its dot product with a vector.

    Attributes:
        descent: the gradient of the step itself, `[P]`.
        inputs: gradient of the product by images, `[b, C, H, W]`.
        labels: by soft labels, `[b, K]`; meaningless for hard ones.
        theta: by parameters, `[P]`.
    """

    descent: Tensor
    inputs: Tensor
    labels: Tensor
    theta: Tensor


class StepGradients:
    """Gradients of the cross entropy on augmented images `[b, C, H, W]` at parameters `[P]` of a network.

    Args:
        network: has P parameters.
        replayed: whether everything is recorded as CUDA graphs and replayed: the same numbers but for rounding, without
            launching some hundred small kernels per step. Results are then overwritten by the next call. Only for GPUs.
    """

    def __init__(self, network: FlatNetwork, *, replayed: bool = False) -> None:
        self._network = network
        # Functions, not methods: recordings of these would hold a reference to themselves and stay alive.
        self._descend = partial(_descend, network)
        self._pull = {through: partial(_pull, network, through_parameters=through) for through in (True, False)}
        self._compute: Callable[..., tuple[Tensor, ...]] = Replayed() if replayed else _launched

    def graph(self, theta: Tensor, seen: Tensor, labels: Tensor) -> Tensor:
        """The gradient `[P]` with a graph, to be differentiated again."""
        return _gradient(self._network, theta, seen, labels, create_graph=True)

    def descent(self, theta: Tensor, seen: Tensor, labels: Tensor) -> Tensor:
        """The gradient `[P]`; labels are logits `[b, K]` or class numbers int64 `[b]`."""
        return self._compute(self._descend, theta, seen, labels)[0]

    def pull(
        self, theta: Tensor, seen: Tensor, labels: Tensor, vector: Tensor, *, through_parameters: bool = True
    ) -> StepVJP:
        """The gradient and its vector-Jacobian products with `vector` `[P]`.

        The product by parameters is zero without `through_parameters`.
        """
        return StepVJP(*self._compute(self._pull[through_parameters], theta, seen, labels, vector))


def _launched(function: Callable[..., tuple[Tensor, ...]], *tensors: Tensor) -> tuple[Tensor, ...]:
    return function(*tensors)


def _gradient(network: FlatNetwork, theta: Tensor, seen: Tensor, labels: Tensor, *, create_graph: bool) -> Tensor:
    logits = network.logits(theta, seen)
    loss = soft_cross_entropy(logits, labels) if labels.is_floating_point() else F.cross_entropy(logits, labels)
    return grad(loss, theta, create_graph=create_graph)[0]


def _descend(network: FlatNetwork, theta: Tensor, seen: Tensor, labels: Tensor) -> tuple[Tensor]:
    return (_gradient(network, leaf(theta), seen, labels, create_graph=False),)


def _pull(
    network: FlatNetwork, theta: Tensor, seen: Tensor, labels: Tensor, vector: Tensor, *, through_parameters: bool
) -> tuple[Tensor, ...]:
    theta, seen = leaf(theta), leaf(seen)
    if soft := labels.is_floating_point():
        labels = leaf(labels)
    variables = [seen, *([labels] if soft else []), *([theta] if through_parameters else [])]
    descent = _gradient(network, theta, seen, labels, create_graph=True)
    of_seen, *others = grad(descent, variables, vector, materialize_grads=True)
    of_labels = others.pop(0) if soft else labels
    of_theta = others.pop() if through_parameters else torch.zeros_like(vector)
    return descent.detach(), of_seen, of_labels, of_theta


def leaf(tensor: Tensor) -> Tensor:
    """The same values as a leaf of a new graph, with a gradient."""
    return tensor.detach().requires_grad_()
