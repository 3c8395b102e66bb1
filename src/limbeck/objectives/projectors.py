"""Small networks between a student's outputs and a teacher's."""

from torch import Tensor, nn

from limbeck.models.layers import batch_normed
from limbeck.objectives.stages import same_size


class Regressor(nn.Module):
    """A convolution with batch norm that turns the student's stage into one of the teacher's shape.

    Half and double size are bridged by strides. For other ratios, which the benchmarks do not have, the larger map is
    average-pooled.

    Args:
        student: a stage [B, C, H, W] of the student, for its shape.
        teacher: a stage of the teacher.
        relu: end in a ReLU, as stages after the activation do.

    Source: Romero et al., "FitNets: hints for thin deep nets", ICLR 2015, in the form of the CRD benchmark.
    """

    def __init__(self, student: Tensor, teacher: Tensor, *, relu: bool = True) -> None:
        super().__init__()
        inputs, outputs = student.shape[1], teacher.shape[1]
        (height, width), size = student.shape[2:], tuple(teacher.shape[2:])
        self.conv: nn.Conv2d | nn.ConvTranspose2d
        if (height, width) == (2 * size[0], 2 * size[1]):
            self.conv = nn.Conv2d(inputs, outputs, 3, 2, 1)
        elif (2 * height, 2 * width) == size:
            self.conv = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1)
        elif (height, width) == size:
            self.conv = nn.Conv2d(inputs, outputs, 1)
        else:
            self.conv = nn.Conv2d(inputs, outputs, 3, 1, 1)
        self.bn = nn.BatchNorm2d(outputs)
        self.relu = relu

    def forward(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        """Both stages in the teacher's channels and in one size."""
        regressed = batch_normed(self.bn, self.conv(student))
        return same_size(regressed.relu_() if self.relu else regressed, teacher)


class Unchanged(nn.Module):
    """In place of a regressor where the shapes are equal."""

    def forward(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        return student, teacher
