"""Wide residual networks with pre-activation.

Zagoruyko and Komodakis, "Wide residual networks", BMVC 2016.
"""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limbeck.models.layers import initialise
from limbeck.models.taps import Tapped, Taps


class PreActivationBlock(nn.Module):
    """Norm, activation, convolution, twice; a projected shortcut starts from the first activation."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.relu1 = nn.ReLU()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu2 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        active = self.relu1(self.bn1(x))
        shortcut = x if self.shortcut is None else self.shortcut(active)
        return self.conv2(self.relu2(self.bn2(self.conv1(active)))) + shortcut


class WideResNet(Tapped):
    """Three layers of (depth - 4) / 6 blocks.

    A layer ends in a sum without activation. The stages are these sums and the stem's output, as in the benchmarks;
    norm and activation follow in the next layer's first block, or before pooling.
    """

    benchmark_names = (
        (r"^block(\d)\.layer\.(\d+)\.convShortcut\.", r"layer\1.\2.shortcut."),
        (r"^block(\d)\.layer\.", r"layer\1."),
        (r"^fc\.", "head."),
    )

    def __init__(self, depth: int, factor: int, *, num_classes: int, channels: int = 3) -> None:
        super().__init__()
        assert depth % 6 == 4
        count, inputs = (depth - 4) // 6, 16
        self.conv1 = nn.Conv2d(channels, inputs, 3, 1, 1, bias=False)
        layers = []
        for index, outputs in enumerate((16 * factor, 32 * factor, 64 * factor)):
            first = PreActivationBlock(inputs, outputs, 1 if index == 0 else 2)
            layers.append(nn.Sequential(first, *(PreActivationBlock(outputs, outputs, 1) for _ in range(count - 1))))
            inputs = outputs
        self.layer1, self.layer2, self.layer3 = layers
        self.bn1 = nn.BatchNorm2d(inputs)
        self.relu = nn.ReLU()
        self.head = nn.Linear(inputs, num_classes)
        initialise(self)
        nn.init.zeros_(self.head.bias)  # its weights keep torch's initialisation
        # relu1 of the second and third layer sees the map before that layer's stride, so still the previous stage.
        self.taps = Taps(
            "head",
            ("conv1", "layer1", "layer2", "layer3"),
            activations=("layer1.0.relu1", "layer2.0.relu1", "layer3.0.relu1", "relu"),
            last_map="relu",
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer3(self.layer2(self.layer1(self.conv1(x))))
        x = self.relu(self.bn1(x))
        return self.head(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


BUILDERS = {
    f"wrn_{depth}_{factor}": partial(WideResNet, depth, factor)
    for depth, factor in ((16, 1), (16, 2), (40, 1), (40, 2))
}
