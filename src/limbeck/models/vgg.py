"""VGG networks with batch or instance norm and one linear layer for a head.

Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limbeck.models.layers import InstanceNorm, initialise, initialise_small
from limbeck.models.taps import Tapped, Taps


class VGG(Tapped):
    """Five blocks of 3x3 convolutions, some of them followed by halving; the mean of the last map goes into the head.

    Args:
        counts: convolutions in every block.
        widths: channels of every block.
        num_classes, channels: of the head's output, of the images.
        norm: number of channels -> norm.
        halvings: how many of the first blocks are followed by halving.
        fan_out: whether layers start as `initialise` and `initialise_small` have them, or as torch does.
    """

    benchmark_names = ((r"^classifier\.", "head."),)

    def __init__(
        self,
        counts: Sequence[int],
        widths: Sequence[int] = (64, 128, 256, 512, 512),
        *,
        num_classes: int,
        channels: int = 3,
        norm: Callable[[int], nn.Module] = nn.BatchNorm2d,
        halvings: int = 3,
        fan_out: bool = True,
    ) -> None:
        super().__init__()
        blocks, inputs = [], channels
        for count, width in zip(counts, widths, strict=True):
            block = nn.Sequential()
            for _ in range(count):
                block.extend((nn.Conv2d(inputs, width, 3, 1, 1), norm(width), nn.ReLU()))
                inputs = width
            blocks.append(block)
        self.block0, self.block1, self.block2, self.block3, self.block4 = blocks
        # Rounding up keeps at least one pixel of the tiniest image and changes nothing at even sizes.
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.halvings = halvings
        self.head = nn.Linear(inputs, num_classes)
        if fan_out:
            initialise(self)
            initialise_small(self.head)
        self.taps = Taps("head", tuple(f"block{i}.{3 * count - 1}" for i, count in enumerate(counts)))

    def forward(self, x: Tensor) -> Tensor:
        for index, block in enumerate((self.block0, self.block1, self.block2, self.block3, self.block4)):
            x = block(x)
            if index < self.halvings:
                x = self.pool(x)
        return self.head(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


_EIGHT = (1, 1, 1, 1, 1)

BUILDERS = {
    "vgg8": partial(VGG, _EIGHT),
    "vgg11": partial(VGG, (1, 1, 2, 2, 2)),
    # As sets of synthetic images are tried on: Zhao, Mopuri and Bilen, ICLR 2021, leave the initial weights to torch.
    "vgg11_instance": partial(VGG, (1, 1, 2, 2, 2), norm=InstanceNorm, halvings=5, fan_out=False),
    "vgg13": partial(VGG, (2, 2, 2, 2, 2)),
    "vgg16": partial(VGG, (2, 2, 3, 3, 3)),
    "vgg19": partial(VGG, (2, 2, 4, 4, 4)),
    **{f"vgg8_w{w}": partial(VGG, _EIGHT, (w, 2 * w, 4 * w, 8 * w, 8 * w)) for w in (32, 16, 8, 4, 2)},
}
