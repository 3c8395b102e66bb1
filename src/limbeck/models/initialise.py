"""The starting weights that convolutional networks with batch norm share."""

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
