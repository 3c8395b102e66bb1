"""The plain ConvNet on which synthetic images are usually learned.

Gidaris and Komodakis, "Dynamic few-shot visual learning without forgetting", CVPR 2018; in the form of Zhao, Mopuri and
Bilen, "Dataset condensation with gradient matching", ICLR 2021.
"""

from functools import partial

import torch
from torch import Tensor, nn

from limbeck.errors import UserError
from limbeck.models.halving import Halving
from limbeck.models.taps import Tapped, Taps


def _norm(kind: str, width: int, size: tuple[int, int]) -> nn.Module:
    match kind:
        case "layer":
            return nn.LayerNorm([width, *size])
        case "instance":
            return nn.GroupNorm(width, width)
        case "group":
            return nn.GroupNorm(4, width)
        case "batch":
            return nn.BatchNorm2d(width)
        case _:
            return nn.Identity()


_ACTIVATIONS = {"relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "sigmoid": nn.Sigmoid}


class ConvNet(Tapped):
    """Layers of 3x3 convolution, norm, activation and halving; all of the last map goes into the head.

    The head's size depends on the images', so the network is built for one size. Layers halve only while every later
    layer still has 2x2 pixels, since a norm over one pixel would return its bias whatever comes in.

    Args:
        depth: number of layers.
        size: height and width of the images, each at least 4.
        width: channels of every layer; with `group` a multiple of 4.
        norm: `instance`, `batch`, `group` (of 4 groups), `layer` (over channels and pixels, with a weight for
            each) or `none`.
        pooling: `average`, `max` or `none`.
        activation: `relu`, `leaky_relu` (of slope 0.01) or `sigmoid`.
    """

    def __init__(
        self,
        depth: int,
        *,
        num_classes: int,
        channels: int = 3,
        size: tuple[int, int] = (32, 32),
        width: int = 128,
        norm: str = "instance",
        pooling: str = "average",
        activation: str = "relu",
    ) -> None:
        super().__init__()
        if min(size) < 4:
            raise UserError(f"`input_size` of a ConvNet must be at least 4x4, got {size[0]}x{size[1]}.")
        if norm == "group" and width % 4:
            raise UserError(f"`width` must be a multiple of 4 with `norm` 'group', got {width}.")
        self.size = size
        self.layers = nn.Sequential()
        for index in range(depth):
            convolution = nn.Conv2d(channels if index == 0 else width, width, 3, 1, 1)
            layer = nn.Sequential(convolution, _norm(norm, width, size), _ACTIVATIONS[activation]())
            halved = size[0] // 2, size[1] // 2
            if pooling != "none" and min(halved) >= (1 if index == depth - 1 else 2):
                layer.append(Halving() if pooling == "average" else nn.MaxPool2d(2))
                size = halved
            self.layers.append(layer)
        self.head = nn.Linear(width * size[0] * size[1], num_classes)
        self.taps = Taps("head", tuple(f"layers.{index}.2" for index in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.flatten(self.layers(x), 1))


BUILDERS = {f"convnet_d{depth}": partial(ConvNet, depth) for depth in range(1, 7)}
