"""Putting the shares of a batch together again that several processes hold.

A loss that relates images to one another must see them all. Every process then computes the same loss of the whole
batch, and its own share of the gradient.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, distributed


def gather(signals: Mapping[str, Any]) -> dict[str, Any]:
    """Signals of the whole batch, in the order of the processes; what is no tensor stays."""
    return {name: _whole(value) for name, value in signals.items()}


def _whole(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_whole(one) for one in value)
    return _Gathered.apply(value.contiguous()) if isinstance(value, Tensor) else value


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, share: Tensor) -> Tensor:
        ctx.count = len(share)
        shares = [torch.empty_like(share) for _ in range(distributed.get_world_size())]
        distributed.all_gather(shares, share)
        return torch.cat(shares)

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> Tensor:
        first = distributed.get_rank() * ctx.count
        # Distributed training averages gradients over processes, where here they add up.
        return outputs[0][first : first + ctx.count] * distributed.get_world_size()
