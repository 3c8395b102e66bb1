"""No generator: the latents are the pixels."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class Pixels(nn.Module):
    """Images whose latents are their pixels, normalised as the teacher has them, so that they start as N(0, 1).

    Steps of the optimiser are then as large as published. Values outside [0, 1] are cut off; of
    their gradients, only those count that lead back into the range.

    Args:
        mean, std: of each channel, in units of [0, 1] images.

    Source: Yin et al., "Dreaming to distill", CVPR 2020.

    Example:
        >>> Pixels([0.5], [0.25])(torch.tensor([-9.0, 0.0, 1.0]).view(1, 1, 1, 3)).flatten()
        tensor([0.0000, 0.5000, 0.7500])
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor([*values], dtype=torch.float32).view(-1, 1, 1))

    def forward(self, latents: Tensor) -> Tensor:
        """Images [B, C, H, W] in [0, 1] of latents of the same shape."""
        return Cut.apply(self.mean + self.std * latents)


class Cut(torch.autograd.Function):
    """`clamp(0, 1)` whose gradient goes on outside where descending it leads back."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        ctx.save_for_backward(values)
        return values.clamp(0, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (values,), (gradient,) = ctx.saved_tensors, gradients
        leads_away = ((values > 1) & (gradient < 0)) | ((values < 0) & (gradient > 0))
        return gradient.masked_fill(leads_away, 0)
