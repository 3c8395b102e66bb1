"""ShuffleNetV2 for small images.

Ma, Zhang, Zheng and Sun, "ShuffleNet V2: practical guidelines for efficient CNN architecture design", ECCV 2018.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limbeck.models.layers import shuffle_channels
from limbeck.models.taps import Tapped, Taps


class Branch(nn.Module):
    """1x1, 3x3 channel by channel, 1x1, without a final activation: the unit applies it to both halves at once."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, stride, 1, groups=outputs, bias=False),
            nn.BatchNorm2d(outputs),
            nn.Conv2d(outputs, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class SplitUnit(nn.Module):
    """One half of the channels passes untouched, the other through a branch, and both are shuffled."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branch = Branch(width // 2, width // 2, 1)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        untouched, other = x.chunk(2, 1)
        # The untouched half has been through a ReLU, so a second one leaves it as it is.
        return self.relu(shuffle_channels(torch.cat([untouched, self.branch(other)], 1), 2))


class HalvingUnit(nn.Module):
    """Both halves of the output come from all of the input, at half its size."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.shortcut = nn.Sequential(
            nn.Conv2d(inputs, inputs, 3, 2, 1, groups=inputs, bias=False),
            nn.BatchNorm2d(inputs),
            nn.Conv2d(inputs, outputs // 2, 1, bias=False),
            nn.BatchNorm2d(outputs // 2),
        )
        self.branch = Branch(inputs, outputs // 2, 2)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(shuffle_channels(torch.cat([self.shortcut(x), self.branch(x)], 1), 2))


def _benchmark_names() -> Iterator[tuple[str, str]]:
    """Maps the benchmarks' names, which number convolutions and norms within a unit, those of a shortcut first."""
    first, other = r"^(layer\d\.0)\.", r"^(layer\d\.\d)\."
    shortcut = ("shortcut.0", "shortcut.1"), ("shortcut.2", "shortcut.3")
    branch = tuple((f"branch.layers.{index}", f"branch.layers.{index + 1}") for index in (0, 3, 5))
    for unit, layers in ((first, shortcut + branch), (other, branch)):
        for number, (conv, norm) in enumerate(layers, 1):
            yield rf"{unit}conv{number}\.", rf"\1.{conv}."
            yield rf"{unit}bn{number}\.", rf"\1.{norm}."
    yield r"^conv2\.", "last.0."
    yield r"^bn2\.", "last.1."
    yield r"^linear\.", "head."


class ShuffleNetV2(Tapped):
    """1x1 stem of 24 channels; 4, 8 and 4 units of 116, 232 and 464 channels; 1024 features.

    A pre-activation has its stage's order of channels. The benchmarks read it before the shuffle, in another order,
    which makes no difference to the learned convolution that `ab` compares it through.
    """

    benchmark_names = tuple(_benchmark_names())

    def __init__(self, *, num_classes: int, channels: int = 3) -> None:
        super().__init__()
        inputs, counts = 24, (4, 8, 4)
        self.conv1 = nn.Conv2d(channels, inputs, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.relu = nn.ReLU()
        layers = []
        for outputs, count in zip((116, 232, 464), counts, strict=True):
            layers.append(nn.Sequential(HalvingUnit(inputs, outputs), *(SplitUnit(outputs) for _ in range(count - 1))))
            inputs = outputs
        self.layer1, self.layer2, self.layer3 = layers
        self.last = nn.Sequential(nn.Conv2d(inputs, 1024, 1, bias=False), nn.BatchNorm2d(1024), nn.ReLU())
        self.head = nn.Linear(1024, num_classes)
        self.taps = Taps("head", ("relu", *(f"layer{i + 1}.{count - 1}.relu" for i, count in enumerate(counts))))

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.last(self.layer3(self.layer2(self.layer1(x))))
        return self.head(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


BUILDERS = {"ShuffleV2": ShuffleNetV2}
