"""Images in the 8 bits in which they will be kept, and their views, with gradients as if nothing had been rounded.

So the networks see exactly what is kept, and need not be run on it again. Source of the gradient: Bengio, Léonard
and Courville, "Estimating or propagating gradients through stochastic neurons", 2013.
"""

from typing import Any

import torch
from torch import Tensor

from limbeck.data.views import Augmentation


class _Straight(torch.autograd.Function):
    """The values of one tensor with the gradient of another."""

    @staticmethod
    def forward(ctx: Any, smooth: Tensor, values: Tensor) -> Tensor:
        return values

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def in_bits(images: Tensor, *, floor: bool = False) -> tuple[Tensor, Tensor]:
    """Images in 8 bits: as floating levels, with the gradient of `255 * images`, and as they are stored.

    Args:
        images: floating [B, C, H, W] in [0, 1].
        floor: whether levels are cut, and not rounded.

    Returns:
        float32 and uint8 [B, C, H, W], both in 0..255.

    Example:
        >>> images = torch.full((1, 1, 1, 1), 0.31, requires_grad=True)
        >>> levels, bits = in_bits(images)
        >>> levels.sum().backward()
        >>> bits.item(), levels.item(), images.grad.item()
        (79, 79.0, 255.0)
    """
    scaled = images.float() * 255
    with torch.no_grad():
        levels = (scaled.floor() if floor else scaled.round()).clamp_(0, 255)
        bits = levels.to(torch.uint8)
    return straight(scaled, levels), bits


def straight(smooth: Tensor, values: Tensor) -> Tensor:
    """`values`, with the gradient of `smooth`."""
    result: Any = _Straight.apply(smooth, values)
    return result


def view_of(levels: Tensor, bits: Tensor | None, views: Augmentation, draw: Tensor) -> Tensor:
    """The view `draw` of each image, as networks take it, with gradients to `levels`.

    Args:
        levels: float32 [B, C, H, W] in 0..255.
        bits: the same as uint8, whose views it will be to the bit; None where `levels` are not whole.
        views: that mix no images.
        draw: int64 [B].

    Returns:
        float32 [B, C, H, W] in [0, 1]; padding is black.
    """
    shown = views.smooth(levels, draw)
    if bits is not None and not views.moves:
        shown = straight(shown, views.render(bits, draw).float())
    return shown / 255
