"""AlexNet for small images.

Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks", NIPS 2012; five
convolutions of stride 1 and one linear layer for 32x32 pixels, as sets of synthetic images are tried on since Zhao,
Mopuri and Bilen, "Dataset condensation with gradient matching", ICLR 2021.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limbeck.models.layers import InstanceNorm
from limbeck.models.taps import Tapped, Taps

_LAYERS = ((128, 5, True), (192, 5, True), (256, 3, False), (192, 3, False), (192, 3, True))
_GRID = 4


class AlexNet(Tapped):
    """Five convolutions, three of them followed by halving; the last map, averaged to 4x4, goes into the head.

    At 32x32 pixels that is the last map itself; at other sizes the head stays the same.

    Args:
        num_classes, channels: of the head's output, of the images.
        norm: `none`, as published, or `instance`.
    """

    def __init__(self, *, num_classes: int, channels: int = 3, norm: str = "none") -> None:
        super().__init__()
        self.layers = nn.Sequential()
        for width, side, halves in _LAYERS:
            after = InstanceNorm(width) if norm == "instance" else nn.Identity()
            layer = nn.Sequential(nn.Conv2d(channels, width, side, padding=side // 2), after, nn.ReLU())
            if halves:
                layer.append(nn.MaxPool2d(2, ceil_mode=True))  # keeps at least one pixel of the tiniest image
            self.layers.append(layer)
            channels = width
        self.head = nn.Linear(channels * _GRID**2, num_classes)
        self.taps = Taps("head", tuple(f"layers.{index}.2" for index in range(len(_LAYERS))))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.flatten(F.adaptive_avg_pool2d(self.layers(x), _GRID), 1))


BUILDERS = {"alexnet": AlexNet}
