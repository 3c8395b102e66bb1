"""The starting weights that convolutional networks with batch norm share, as in the CIFAR benchmarks."""

from torch import nn


def initialise(network: nn.Module) -> None:
    """Convolutions normal with variance 2 / fan-out, so that gradients keep their size; linear layers as torch does.

    He, Zhang, Ren and Sun, "Delving deep into rectifiers", ICCV 2015.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def initialise_small(head: nn.Linear) -> None:
    """The head of VGG and MobileNetV2 in the benchmarks: normal with deviation 0.01, bias 0."""
    nn.init.normal_(head.weight, 0.0, 0.01)
    nn.init.zeros_(head.bias)
