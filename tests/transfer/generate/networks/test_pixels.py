"""Pixels in place of a generator."""

import torch

from limbeck.transfer.generate.generator_settings import Generator
from limbeck.transfer.generate.networks import build_network, draw_latents


def test_they_start_as_the_teachers_normalised_noise() -> None:
    mean, std = [0.2, 0.5, 0.7], [0.05, 0.1, 0.02]
    network = build_network(
        Generator(network="none"), shape=(3, 32, 32), num_classes=10, seed=0, mean=mean, std=std
    )  # fmt: skip
    assert not [*network.parameters()]
    latents = draw_latents(network, 20, seed=0, call=1)
    assert latents.shape == (20, 3, 32, 32)
    images = network(latents)
    torch.testing.assert_close(images.mean((0, 2, 3)), torch.tensor(mean), atol=0.01, rtol=0)
    torch.testing.assert_close(images.std((0, 2, 3)), torch.tensor(std), atol=0.01, rtol=0)


def test_what_leaves_the_range_is_cut_and_can_come_back() -> None:
    """Gradient descent moves against the gradient: beyond 1, only a positive one leads back."""
    network = build_network(Generator(network="none"), shape=(1, 1, 6), num_classes=10, seed=0)
    latents = torch.tensor([9.0, 9.0, -9.0, -9.0, 0.0, 0.0]).view(1, 1, 1, 6).requires_grad_()
    images = network(latents)
    assert images.flatten().tolist() == [1, 1, 0, 0, 0.5, 0.5]
    images.backward(torch.tensor([1.0, -1, 1, -1, 1, -1]).view(1, 1, 1, 6))
    assert latents.grad is not None
    assert (latents.grad.flatten() / 0.25).tolist() == [1, 0, 0, -1, 1, -1]
