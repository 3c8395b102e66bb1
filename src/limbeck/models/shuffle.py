"""What both ShuffleNets share."""

from torch import Tensor


def shuffle_channels(x: Tensor, groups: int) -> Tensor:
    """Channels `[g0 g0 .. g1 g1 ..]` as `[g0 g1 .. g0 g1 ..]`, so that the next grouped layer sees every group."""
    return x.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)
