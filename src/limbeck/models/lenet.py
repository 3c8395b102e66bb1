"""LeNet-5 with ReLU and max pooling.

LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limbeck.models.taps import Tapped, Taps


class LeNet5(Tapped):
    """Three 5x5 convolutions on 32x32 pixels; 28x28 images get a border of two, others are resized.

    Args:
        width: channels of the first convolution; with 6, later layers have 16, 120 and 84, else in proportion.
        norm: `none`, or `batch` after every convolution, which the original does not have.
    """

    def __init__(self, *, num_classes: int, channels: int = 3, width: int = 6, norm: str = "none") -> None:
        super().__init__()
        second, third, hidden = (max(1, round(size * width / 6)) for size in (16, 120, 84))
        normed = nn.BatchNorm2d if norm == "batch" else nn.Identity
        self.conv1 = nn.Conv2d(channels, width, 5)
        self.norm1 = normed(width)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, second, 5)
        self.norm2 = normed(second)
        self.relu2 = nn.ReLU()
        self.conv3 = nn.Conv2d(second, third, 5)
        self.norm3 = normed(third)
        self.relu3 = nn.ReLU()
        self.fc = nn.Linear(third, hidden)
        self.relu4 = nn.ReLU()
        self.head = nn.Linear(hidden, num_classes)
        self.taps = Taps("head", ("relu1", "relu2", "relu3"))

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.relu1(self.norm1(self.conv1(_as_32(x)))), 2)
        x = F.max_pool2d(self.relu2(self.norm2(self.conv2(x))), 2)
        x = torch.flatten(self.relu3(self.norm3(self.conv3(x))), 1)
        return self.head(self.relu4(self.fc(x)))


def _as_32(x: Tensor) -> Tensor:
    if x.shape[-2:] == (32, 32):
        return x
    if x.shape[-2:] == (28, 28):
        # Padded by the values at the edge, because normalised black is not zero.
        return F.pad(x, (2, 2, 2, 2), mode="replicate")
    return F.interpolate(x, (32, 32), mode="bilinear", antialias=True)


BUILDERS = {"lenet5": LeNet5}
