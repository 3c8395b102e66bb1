"""Networks that gradients pass through without reaching their weights."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def without_gradients(network: nn.Module) -> Iterator[None]:
    """Inside, no gradients of its weights are computed; afterwards, those that required gradients do so again.

    Example:
        >>> layer = torch.nn.Linear(1, 1)
        >>> with without_gradients(layer):
        ...     layer.weight.requires_grad
        False
        >>> layer.weight.requires_grad
        True
    """
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
