"""Residual networks for small images, with a 3x3 stem that keeps the size.

He, Zhang, Ren and Sun, "Deep residual learning for image recognition", CVPR 2016: section 4.2 for the three-stage
networks of 6n + 2 layers with option A shortcuts (identity, padded by zeros), section 3.3 for projections.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limbeck.models.layers import InstanceNorm, initialise
from limbeck.models.taps import Tapped, Taps

Norm = Callable[[int], nn.Module]
"""Number of channels -> norm."""


class PadShortcut(nn.Module):
    """Option A: every other pixel, and channels of zeros on both sides; it has no parameters."""

    def __init__(self, added: int, stride: int) -> None:
        super().__init__()
        self.added, self.stride = added, stride

    def forward(self, x: Tensor) -> Tensor:
        before = self.added // 2
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, before, self.added - before))


def projection(inputs: int, outputs: int, stride: int, norm: Norm) -> nn.Module:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), norm(outputs))


def padding(inputs: int, outputs: int, stride: int, norm: Norm) -> nn.Module:
    return PadShortcut(outputs - inputs, stride)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside the shortcut."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int, shortcut: nn.Module | None, norm: Norm) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = norm(width)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = norm(width)
        self.relu = nn.ReLU()
        self.downsample = shortcut

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu1(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(x)) + shortcut)


class Bottleneck(nn.Module):
    """1x1 down, 3x3, 1x1 up to four times the width, beside the shortcut."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int, shortcut: nn.Module | None, norm: Norm) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = norm(width)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = norm(width)
        self.relu2 = nn.ReLU()
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = norm(4 * width)
        self.relu = nn.ReLU()
        self.downsample = shortcut

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu1(self.bn1(self.conv1(x)))
        x = self.relu2(self.bn2(self.conv2(x)))
        return self.relu(self.bn3(self.conv3(x)) + shortcut)


class ResNet(Tapped):
    """A stem and layers of residual blocks, each layer after the first at half the size of the one before.

    Args:
        blocks: number of blocks in every layer.
        widths: width of the stem, then of every layer.
        num_classes, channels: of the head's output, of the images.
        bottleneck: whether blocks are bottlenecks, whose 1x1 convolutions make the output four times as wide.
        option_a: whether shortcuts have no parameters.
        norm: number of channels -> norm.
        fan_out: whether convolutions start as `initialise` has them, or as torch does.
    """

    benchmark_names = (
        (r"^(layer\d\.\d+)\.shortcut\.", r"\1.downsample."),
        (r"^(fc|linear)\.", "head."),
    )

    def __init__(
        self,
        blocks: Sequence[int],
        widths: Sequence[int],
        *,
        num_classes: int,
        channels: int = 3,
        bottleneck: bool = False,
        option_a: bool = False,
        norm: Norm = nn.BatchNorm2d,
        fan_out: bool = True,
    ) -> None:
        super().__init__()
        block = Bottleneck if bottleneck else BasicBlock
        shortcut = padding if option_a else projection
        self.conv1 = nn.Conv2d(channels, widths[0], 3, 1, 1, bias=False)
        self.bn1 = norm(widths[0])
        self.relu = nn.ReLU()
        self.layers: list[str] = []
        inputs = widths[0]
        for index, (count, width) in enumerate(zip(blocks, widths[1:], strict=True)):
            outputs, layer = width * block.expansion, nn.Sequential()
            for position in range(count):
                stride = 2 if index > 0 and position == 0 else 1
                changes = stride != 1 or inputs != outputs
                branch = shortcut(inputs, outputs, stride, norm) if changes else None
                layer.append(block(inputs, width, stride, branch, norm))
                inputs = outputs
            self.layers.append(f"layer{index + 1}")
            self.add_module(self.layers[-1], layer)
        self.head = nn.Linear(inputs, num_classes)
        if fan_out:
            initialise(self)
        self.taps = Taps("head", ("relu", *(f"layer{i + 1}.{n - 1}.relu" for i, n in enumerate(blocks))))

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        for layer in self.layers:
            x = self.get_submodule(layer)(x)
        return self.head(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


def three_stage(depth: int, widths: Sequence[int] = (16, 16, 32, 64), *, option_a: bool = False) -> partial[ResNet]:
    """The CIFAR network of 6n + 2 layers."""
    assert depth % 6 == 2
    return partial(ResNet, [(depth - 2) // 6] * 3, widths, option_a=option_a)


_FOUR = (64, 64, 128, 256, 512)
_WIDE = (32, 64, 128, 256)

BUILDERS = {
    **{f"resnet{depth}": three_stage(depth) for depth in (8, 14, 20, 32, 44, 56, 110)},
    "resnet8x4": three_stage(8, _WIDE),
    "resnet32x4": three_stage(32, _WIDE),
    **{f"resnet{depth}_option_a": three_stage(depth, option_a=True) for depth in (20, 32, 44, 56, 110)},
    "resnet18": partial(ResNet, (2, 2, 2, 2), _FOUR),
    # As sets of synthetic images are tried on: Zhao, Mopuri and Bilen, ICLR 2021, leave the initial weights to torch.
    "resnet18_instance": partial(ResNet, (2, 2, 2, 2), _FOUR, norm=InstanceNorm, fan_out=False),
    "resnet34": partial(ResNet, (3, 4, 6, 3), _FOUR),
    "ResNet50": partial(ResNet, (3, 4, 6, 3), _FOUR, bottleneck=True),
}
