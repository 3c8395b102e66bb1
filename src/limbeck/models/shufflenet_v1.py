"""ShuffleNetV1 for small images.

Zhang, Zhou, Lin and Sun, "ShuffleNet: an extremely efficient convolutional neural network for mobile devices",
CVPR 2018.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limbeck.models.layers import shuffle_channels
from limbeck.models.taps import Tapped, Taps

_GROUPS = 3


class ShuffleUnit(nn.Module):
    """Grouped 1x1, shuffle, 3x3 channel by channel, grouped 1x1; halving units append the pooled input instead of
    adding it."""

    def __init__(self, inputs: int, outputs: int, *, halve: bool) -> None:
        super().__init__()
        added = outputs - inputs if halve else outputs
        middle = added // 4
        # The 24 channels of the stem are too few to group.
        self.groups = 1 if inputs == 24 else _GROUPS
        self.halve = halve
        self.conv1 = nn.Conv2d(inputs, middle, 1, groups=self.groups, bias=False)
        self.bn1 = nn.BatchNorm2d(middle)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(middle, middle, 3, 2 if halve else 1, 1, groups=middle, bias=False)
        self.bn2 = nn.BatchNorm2d(middle)
        self.relu2 = nn.ReLU()
        self.conv3 = nn.Conv2d(middle, added, 1, groups=_GROUPS, bias=False)
        self.bn3 = nn.BatchNorm2d(added)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = shuffle_channels(self.relu1(self.bn1(self.conv1(x))), self.groups)
        y = self.bn3(self.conv3(self.relu2(self.bn2(self.conv2(y)))))
        if self.halve:
            return self.relu(torch.cat([y, F.avg_pool2d(x, 3, 2, 1)], 1))
        return self.relu(y + x)


class ShuffleNetV1(Tapped):
    """1x1 stem of 24 channels, then 4, 8 and 4 units of 240, 480 and 960 channels, each layer at half the size."""

    benchmark_names = ((r"^linear\.", "head."),)

    def __init__(self, *, num_classes: int, channels: int = 3) -> None:
        super().__init__()
        inputs, counts = 24, (4, 8, 4)
        self.conv1 = nn.Conv2d(channels, inputs, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.relu = nn.ReLU()
        layers = []
        for outputs, count in zip((240, 480, 960), counts, strict=True):
            first = ShuffleUnit(inputs, outputs, halve=True)
            layers.append(nn.Sequential(first, *(ShuffleUnit(outputs, outputs, halve=False) for _ in range(count - 1))))
            inputs = outputs
        self.layer1, self.layer2, self.layer3 = layers
        self.head = nn.Linear(inputs, num_classes)
        self.taps = Taps("head", ("relu", *(f"layer{i + 1}.{count - 1}.relu" for i, count in enumerate(counts))))

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.head(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


BUILDERS = {"ShuffleV1": ShuffleNetV1}
