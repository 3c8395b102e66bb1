"""MobileNetV2 at half width.

Sandler, Howard, Zhu, Zhmoginov and Chen, "MobileNetV2: inverted residuals and linear bottlenecks", CVPR 2018.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limbeck.models.layers import initialise, initialise_small
from limbeck.models.taps import Tapped, Taps

# Output channels, number of blocks, stride of the first; every block but those of the first row expands six times.
_ROWS = ((8, 1, 1), (12, 2, 1), (16, 3, 2), (32, 4, 2), (48, 3, 1), (80, 3, 2), (160, 1, 1))


def _convolution(inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(outputs)]


class InvertedResidual(nn.Module):
    """1x1 expansion, 3x3 convolution channel by channel, 1x1 bottleneck without activation."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        middle = inputs * expansion
        self.layers = nn.Sequential(
            *_convolution(inputs, middle, 1),
            nn.ReLU(),
            *_convolution(middle, middle, 3, stride, groups=middle),
            nn.ReLU(),
            *_convolution(middle, outputs, 1),
        )
        self.residual = stride == 1 and inputs == outputs
        self.linear = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x + self.layers(x) if self.residual else self.layers(x))


class MobileNetV2(Tapped):
    """Stem of stride 2, 17 inverted residual blocks, 1280 features.

    A stage is the linear bottleneck that ends a group of blocks; nothing follows it, so its pre-activation is itself.
    """

    benchmark_names = (
        (r"^conv1\.", "stem."),
        (r"^(blocks\.\d\.\d)\.conv\.", r"\1.layers."),
        (r"^conv2\.", "last."),
        (r"^classifier\.0\.", "head."),
    )

    def __init__(self, *, num_classes: int, channels: int = 3) -> None:
        super().__init__()
        inputs = 16
        self.stem = nn.Sequential(*_convolution(channels, inputs, 3, 2), nn.ReLU())
        self.blocks = nn.Sequential()
        for row, (outputs, count, stride) in enumerate(_ROWS):
            group = nn.Sequential()
            for position in range(count):
                expansion = 1 if row == 0 else 6
                group.append(InvertedResidual(inputs, outputs, stride if position == 0 else 1, expansion))
                inputs = outputs
            self.blocks.append(group)
        self.last = nn.Sequential(*_convolution(inputs, 1280, 1), nn.ReLU())
        self.head = nn.Linear(1280, num_classes)
        initialise(self)
        initialise_small(self.head)
        ends = [f"blocks.{row}.{_ROWS[row][1] - 1}.linear" for row in (1, 2, 4, 6)]
        self.taps = Taps("head", ("stem.2", *ends))

    def forward(self, x: Tensor) -> Tensor:
        x = self.last(self.blocks(self.stem(x)))
        return self.head(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


BUILDERS = {"MobileNetV2": MobileNetV2}
