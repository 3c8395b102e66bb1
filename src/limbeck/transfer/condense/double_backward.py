"""Layers for double backward: the same numbers as torch's in less time and memory.

To differentiate the backward pass of a group norm, torch splits it into many small operations and keeps what each of
them needs. Here the fused kernels are used in both passes, and the derivative of the backward pass is written out.
Average pools of 2x2 pixels become those of ConvNets (`limbeck.models.halving`).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from limbeck.models.halving import Halving

_norm = torch.ops.aten.native_group_norm.default
_norm_backward = torch.ops.aten.native_group_norm_backward.default


def for_two_gradients(network: nn.Module) -> None:
    """Makes the norms and pools of a network use these layers, in place.

    Example:
        >>> network = lb.create("convnet_d3", num_classes=10, width=4).network
        >>> before = network(torch.ones(1, 3, 32, 32))
        >>> for_two_gradients(network)
        >>> torch.equal(network(torch.ones(1, 3, 32, 32)), before)
        True
    """
    for module in network.modules():
        # Subclasses may compute something else.
        if type(module) is nn.GroupNorm and module.affine:
            module.__class__ = GroupNorm
        elif type(module) is nn.AvgPool2d and _halves(module):
            module.__class__ = Halving


class GroupNorm(nn.GroupNorm):
    """torch's group norm with a faster double backward."""

    def forward(self, input: Tensor) -> Tensor:
        # Made contiguous out here: inside the function, autograd would not see the copy.
        return _Norm.apply(input.contiguous(), self.weight, self.bias, self.num_groups, self.eps)  # pyright: ignore


def _halves(pool: nn.AvgPool2d) -> bool:
    sizes = (pool.kernel_size, pool.stride, pool.padding)
    return sizes in ((2, 2, 0), ((2, 2), (2, 2), (0, 0))) and pool.divisor_override is None


class _Norm(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, epsilon: float) -> Tensor:
        batch, channels = x.shape[:2]
        result, mean, inverse = _norm(x, weight, bias, batch, channels, x[0, 0].numel(), groups, epsilon)
        ctx.save_for_backward(x, weight, mean, inverse)
        return result

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> Any:
        return *_NormBackward.apply(*cotangents, *ctx.saved_tensors), None, None  # pyright: ignore


class _NormBackward(Function):
    r"""From dy: dx = P(w dy), dw = sum dy z, db = sum dy, with z = r (x - m), P(v) = r (v - avg v - z avg(v z)).

    Averages are over a group's pixels, sums over images and pixels of a channel; m and r, mean and inverse deviation of
    a group, depend on x. P is its own transpose, so that for cotangents (a, b, c) of (dx, dw, db)

        of dy: w P(a) + b z + c
        of w:  sum dy P(a)
        of x:  P(q) - r^2 z (avg(a g) - avg a avg g - h k),  q = b dy - r (k a + h g),
               g = w dy, h = avg(a z), k = avg(g z).

    All are linear combinations of a, dy and x with factors per channel, made of the sums of a, a z, dy, dy z and a dy.
    """

    @staticmethod
    def forward(ctx: Any, dy: Tensor, x: Tensor, weight: Tensor, mean: Tensor, inverse: Tensor) -> tuple[Tensor, ...]:
        batch, channels = x.shape[:2]
        dy = dy.contiguous()
        ctx.save_for_backward(dy, x, weight, mean, inverse)
        sizes = (batch, channels, x[0, 0].numel(), mean.shape[1])
        return _norm_backward(dy, x, mean, inverse, weight, *sizes, [True, True, True])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *cotangents: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        a, b, c = cotangents
        dy, x, w, mean, inverse = ctx.saved_tensors
        groups = mean.shape[1]
        batch, channels = x.shape[:2]
        pixels, a = x[0, 0].numel(), a.contiguous()
        m, r = (statistic.repeat_interleave(channels // groups, 1) for statistic in (mean, inverse))  # [B, C]

        def average(v: Tensor) -> Tensor:
            """Averages over the group of each channel, from sums per channel, [B, C]."""
            of_group = v.view(batch, groups, -1).sum(2, keepdim=True) / (channels // groups * pixels)
            return of_group.expand(-1, -1, channels // groups).reshape(batch, channels)

        def spread(factor: Tensor) -> Tensor:
            return factor.view(batch, channels, *[1] * (x.ndim - 2))

        (a_1, a_z), (dy_1, dy_z) = _sums(a, x, m, r), _sums(dy, x, m, r)
        a_dy = (a * dy).view(batch, channels, pixels).sum(2)
        avg_a, h, k = average(a_1), average(a_z), average(w * dy_z)
        of_w = (r * (a_dy - avg_a * dy_1 - h * dy_z)).sum(0)

        q_a, q_dy = -r * k, b - r * h * w  # q = q_a a + q_dy dy
        avg_q, avg_qz = average(q_a * a_1 + q_dy * dy_1), average(q_a * a_z + q_dy * dy_z)
        spread_r = average(w * a_dy) - avg_a * average(w * dy_1) - h * k
        by_x = -r * r * (avg_qz + r * spread_r)
        of_x = torch.addcmul(spread(-r * avg_q - m * by_x), x, spread(by_x))
        of_x = of_x.addcmul_(a, spread(r * q_a)).addcmul_(dy, spread(r * q_dy))

        by_x = r * (b - w * r * h)
        of_dy = torch.addcmul(spread(c - w * r * avg_a - m * by_x), x, spread(by_x)).addcmul_(a, spread(w * r))
        return of_dy, of_x, of_w, None, None


def _sums(v: Tensor, x: Tensor, mean: Tensor, inverse: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of v and v z over the pixels of each channel, [B, C]; mean and inverse deviation are per channel, [B, C]."""
    # The kernel is faster on CPUs; on GPUs only the plain sums have been tried.
    return (sums_by_kernel if v.device.type == "cpu" else plain_sums)(v, x, mean, inverse)


def plain_sums(v: Tensor, x: Tensor, mean: Tensor, inverse: Tensor) -> tuple[Tensor, Tensor]:
    v, x = v.flatten(2), x.flatten(2)
    return v.sum(2), inverse * torch.linalg.vecdot(v, x - mean[..., None])


def sums_by_kernel(v: Tensor, x: Tensor, mean: Tensor, inverse: Tensor) -> tuple[Tensor, Tensor]:
    """The same by torch's kernel, as if each channel were a group."""
    batch, channels = mean.shape
    flat = (1, batch * channels, x[0, 0].numel())
    moments, sizes = (mean.reshape(1, -1), inverse.reshape(1, -1)), (*flat, batch * channels)
    weights = mean.new_ones(batch * channels)  # they change nothing, but some versions of torch require them
    _, of_z, of_one = _norm_backward(v.view(flat), x.view(flat), *moments, weights, *sizes, [False, True, True])
    return of_one.view(batch, channels), of_z.view(batch, channels)
