"""The convolutional generators."""

from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limbeck.transfer.generate.networks.layout import Layout, Size


class Convolutional(nn.Module):
    """From latents to a small map, which grows by nearest neighbours and convolutions to an image in [0, 1].

    Batch norms always use the statistics of the batch, and keep no running ones: in the published methods the network
    never leaves training mode, so that nothing would read them.

    Args:
        layout: sizes and channels of its maps.
        latents: length of a row of latents, or channels of maps of them.
        shape: (channels, height, width) of the images.

    Source: Fang et al., "Up to 100x faster data-free knowledge distillation", AAAI 2022; for sub-pixel layers Shi et
    al., "Real-time single image and video super-resolution using an efficient sub-pixel convolutional neural network",
    CVPR 2016.

    Example:
        >>> from limbeck.transfer.generate.networks.layout import published
        >>> network = Convolutional(published((8, 8), 16), latents=32, shape=(1, 8, 8))
        >>> network(torch.randn(5, 32)).shape
        torch.Size([5, 1, 8, 8])
    """

    def __init__(self, layout: Layout, *, latents: int, shape: tuple[int, int, int]) -> None:
        super().__init__()
        colours, *size = shape
        self.size = tuple(size)
        channels, sizes = layout.channels, layout.sizes
        self.first = Mapped(latents, channels[0]) if layout.maps else Spread(latents, channels[0], sizes[0])
        doublings = zip(channels[:-1], channels[1:], sizes[1:], strict=True)
        self.doublings = nn.Sequential(*(Doubling(*arguments) for arguments in doublings))
        self.factor = 2 if layout.sub_pixel else 1
        self.last = nn.Conv2d(channels[-1], colours * self.factor**2, 3, 1, 1)
        self.to(memory_format=torch.channels_last)

    def forward(self, latents: Tensor) -> Tensor:
        """Images float32 [B, C, H, W] in [0, 1] of latents [B, Z], or of maps [B, Z, H', W']."""
        x = self.first(latents).contiguous(memory_format=torch.channels_last)
        x = self.last(self.doublings(x)).float()  # a bfloat16 near 1 has steps of a whole grey level
        if self.factor > 1:
            x = F.pixel_shuffle(x, self.factor)[..., : self.size[0], : self.size[1]]
        return torch.sigmoid(x)


class Spread(nn.Module):
    """A linear layer from a row to a map, normalised."""

    def __init__(self, latents: int, channels: int, size: Size) -> None:
        super().__init__()
        self.shape = (channels, *size)
        self.linear = nn.Linear(latents, prod(self.shape))
        self.bn = batch_norm(channels)

    def forward(self, latents: Tensor) -> Tensor:
        return self.bn(self.linear(latents).view(-1, *self.shape))


class Mapped(nn.Module):
    """A convolution of a map, normalised, and an activation."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False)
        self.bn = batch_norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.bn(self.conv(x)), 0.2)


class Doubling(Mapped):
    """As `Mapped`, on a map of twice the size, cut to `size` where that is odd."""

    def __init__(self, inputs: int, outputs: int, size: Size) -> None:
        super().__init__(inputs, outputs)
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        doubled = F.interpolate(x, scale_factor=2.0, mode="nearest")
        return super().forward(doubled[..., : self.size[0], : self.size[1]])


def batch_norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, track_running_stats=False)
