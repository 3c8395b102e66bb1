"""Batch norm of batches that may be too small for it."""

import torch.nn.functional as F
from torch import Tensor, nn


def batch_normed(norm: nn.BatchNorm1d | nn.BatchNorm2d, x: Tensor) -> Tensor:
    """Batch norm; where a channel has a single value, which has no variance, by the running statistics."""
    if x.numel() > x.shape[1]:
        return norm(x)
    return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
