"""Generators that start afresh: CMI's in every round, Fast-meta's and BSR's once, in their first layers alone."""

import torch
from torch import Tensor, nn

from limbeck.errors import UserError
from limbeck.randomness import generator, own_randomness
from limbeck.transfer.generate.generator_settings import Generator
from limbeck.transfer.generate.networks.network import ImageNetwork

_SPREAD = 0.02
_LAYERS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def renew_if_due(network: ImageNetwork, settings: Generator, *, seed: int, call: int) -> bool:
    """Lets a generator start afresh where its settings say so, and returns whether it did.

    Args:
        network: changed in place; optimisers stay as they are, as published.
        settings: `renew` and `renew_once`.
        seed: of the run.
        call: the one that comes next, from 1.

    Example:
        >>> from limbeck.transfer.generate.networks import build_network
        >>> settings = Generator(width=8, renew=2)
        >>> network = build_network(settings, shape=(1, 8, 8), num_classes=10, seed=0)
        >>> [renew_if_due(network, settings, seed=0, call=call) for call in (1, 2, 3, 4, 5)]
        [True, False, True, False, True]
    """
    if settings.renew is not None and (call - 1) % settings.renew == 0:  # before the first call, too, as published
        renew(network, seed=seed, call=call)
    elif settings.renew_once == call:
        renew_first(network, seed=seed, call=call, gain_near_zero=settings.gain_near_zero)
    else:
        return False
    return True


def renew(network: ImageNetwork, *, seed: int, call: int) -> None:
    """All weights afresh: those of layers N(0, .02), gains of batch norms N(1, .02), biases 0, as in CMI.

    A body that is not limbeck's own is made anew as its author makes it.
    """
    random = generator(seed, "generate", "renew", call)
    if network.noisy is not None:
        _draw(network.noisy.gain, network.noisy.bias, 1.0, random)
    if network.remake is not None:
        with own_randomness(seed, "generate", "renew", call):
            network.body.load_state_dict(network.remake().state_dict())
        return
    for module in network.body.modules():
        if isinstance(module, _LAYERS + _NORMS):
            _draw(module.weight, module.bias, 1.0 if isinstance(module, _NORMS) else 0.0, random)


def renew_first(network: ImageNetwork, *, seed: int, call: int, gain_near_zero: bool = False) -> None:
    """The first linear layer or convolution afresh, by N(0, .02), and the first batch norm: its gain 1, biases 0.

    Args:
        gain_near_zero: draw that gain from N(0, .02), as the reference implementation of Fast-meta and BSR does.

    Raises:
        UserError: a network of one's own that lacks one of them, see `can_renew_first`.
    """
    layers, norms = _renewable(network)
    if not layers or not norms:
        raise UserError(
            "`generator.renew_once` is about the first linear layer or convolution and the first batch norm, and this "
            "network lacks one of them; leave it out, or use `renew`."
        )
    random = generator(seed, "generate", "renew-first", call)
    _draw(layers[0].weight, layers[0].bias, 0.0, random)
    _draw(norms[0].weight, norms[0].bias, 0.0 if gain_near_zero else 1.0, random, _SPREAD if gain_near_zero else 0.0)


def can_renew_first(network: ImageNetwork) -> bool:
    """Whether there are the layers of `renew_first`, which a network of one's own may lack."""
    return all(_renewable(network))


def _renewable(
    network: ImageNetwork,
) -> tuple[list[nn.Linear | nn.Conv2d | nn.ConvTranspose2d], list[nn.BatchNorm1d | nn.BatchNorm2d]]:
    """Linear layers and convolutions, and batch norms, in order."""
    modules = list(network.body.modules())
    layers = [module for module in modules if isinstance(module, _LAYERS)]
    return layers, [module for module in modules if isinstance(module, _NORMS) and module.weight is not None]


@torch.no_grad()
def _draw(weight: Tensor, bias: Tensor | None, mean: float, random: torch.Generator, spread: float = _SPREAD) -> None:
    """Draws on the CPU, so that every device gets the same values."""
    weight.copy_(torch.randn(weight.shape, generator=random) * spread + mean)
    if bias is not None:
        bias.zero_()
