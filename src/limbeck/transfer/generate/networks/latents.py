"""What images are made from, drawn as a function of seed and call."""

import torch
from torch import Tensor

from limbeck.errors import UserError
from limbeck.randomness import generator
from limbeck.transfer.generate.networks.network import ImageNetwork


def draw_latents(
    network: ImageNetwork,
    images: int | Tensor,
    *purpose: str | int,
    seed: int,
    call: int,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Latents of N(0, 1) for the images of a call: float32 [B, ...], or noisy layers [G, Z, D].

    Args:
        network: that they are for.
        images: how many, or their labels int64 [B].
        purpose: what distinguishes several draws of one call.
        seed: of the run.
        call: its number.
        device: where they are put; they are the same on every device.

    Raises:
        UserError: noisy layers are drawn by label, and none were given.
    """
    count = images if isinstance(images, int) else len(images)
    if network.noisy is None:
        shape = (count, *network.latents)
    elif isinstance(images, int):
        raise UserError("`images` must be labels for a network with `noisy`, which makes images by them, got a number.")
    else:
        shape = (network.noisy.layers_of(images), *network.latents, network.noisy.codes.shape[1])
    random = generator(seed, "generate", "latents", call, *purpose)
    return torch.randn(shape, generator=random).to(device)
