"""Parts that architectures share: initial weights as in the CIFAR benchmarks, norms, the channel shuffle."""

import torch.nn.functional as F
from torch import Tensor, nn


def initialise(network: nn.Module) -> None:
    """Convolutions normal with variance 2 / fan-out, so that gradients keep their size; linear layers as torch does.

    He, Zhang, Ren and Sun, "Delving deep into rectifiers", ICCV 2015.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def initialise_small(head: nn.Linear) -> None:
    """The head of VGG and MobileNetV2 in the benchmarks: normal with deviation 0.01, bias 0."""
    nn.init.normal_(head.weight, 0.0, 0.01)
    nn.init.zeros_(head.bias)


def batch_normed(norm: nn.BatchNorm1d | nn.BatchNorm2d, x: Tensor) -> Tensor:
    """Batch norm; by the running statistics where a channel has a single value, which has no variance."""
    if x.numel() > x.shape[1]:
        return norm(x)
    return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)


class InstanceNorm(nn.GroupNorm):
    """Normalises each channel of each image to mean 0 and deviation 1, then scales and shifts; for maps of any size.

    A map of a single pixel has no deviation, and normalising it would leave nothing but the shift, whatever comes in;
    it is only scaled and shifted. Ulyanov, Vedaldi and Lempitsky, "Instance normalization", arXiv 1607.08022 (2016).

    Args:
        width: channels.

    Example:
        >>> InstanceNorm(2)(torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)).flatten().tolist()
        [3.0, 4.0]
    """

    def __init__(self, width: int) -> None:
        super().__init__(width, width)

    def forward(self, input: Tensor) -> Tensor:  # [B, C, H, W]
        if input.shape[2:].numel() > 1:
            return super().forward(input)
        return input * self.weight.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)


def shuffle_channels(x: Tensor, groups: int) -> Tensor:
    """Channels `[g0 g0 .. g1 g1 ..]` as `[g0 g1 .. g0 g1 ..]`, so that the next grouped layer sees every group."""
    return x.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)
