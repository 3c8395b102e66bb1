"""A generator's moving average."""

from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from limbeck.transfer.generate.networks.network import ImageNetwork


def averaged(network: ImageNetwork, decay: float) -> AveragedModel:
    """A copy that follows the weights of a generator as a moving average, and makes images as it does (MAD).

    `update_parameters(network)` after each change of the generator: average <- decay x average + (1 - decay) x weights;
    the first one copies them.

    Args:
        network: is left as it is.
        decay: 0 < decay < 1.

    Source: Do et al., "Momentum adversarial distillation", NeurIPS 2022.

    Example:
        >>> from limbeck.transfer.generate.networks import build_network
        >>> from limbeck.transfer.generate.generator_settings import Generator
        >>> network = build_network(Generator(width=8), shape=(1, 8, 8), num_classes=10, seed=0)
        >>> average = averaged(network, 0.95)
        >>> average.update_parameters(network)
        >>> average(torch.zeros(3, 256)).shape
        torch.Size([3, 1, 8, 8])
    """
    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay)).requires_grad_(False)
