"""What architectures share: starting weights as in the CIFAR benchmarks, batch norm of small batches, a shuffle."""

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
    """Batch norm; where a channel has a single value, which has no variance, by the running statistics."""
    if x.numel() > x.shape[1]:
        return norm(x)
    return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)


def shuffle_channels(x: Tensor, groups: int) -> Tensor:
    """Channels `[g0 g0 .. g1 g1 ..]` as `[g0 g1 .. g0 g1 ..]`, so that the next grouped layer sees every group."""
    return x.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)
