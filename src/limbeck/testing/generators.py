"""What every network that makes images must do: in [0, 1], of latents and labels alone, and to be optimised."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from limbeck.testing.assertions import ensure, ensure_equal, ensure_finite
from limbeck.transfer.generate.generator_settings import Generator
from limbeck.transfer.generate.networks import ImageNetwork, build_network, draw_latents, renew
from limbeck.transfer.generate.networks.catalogue import find_generator

Options = dict[str, Any]
_CLASSES = 3
_LABELS = torch.tensor([0, 2, 1, 0])


def _made(name: str, options: Options, shape: tuple[int, int, int] = (3, 32, 32), **arguments: Any) -> ImageNetwork:
    entry = find_generator(name, options)
    size = shape[1:] if entry.size is None else (entry.size, entry.size)
    seed = arguments.pop("seed", 0)
    settings = Generator(network=name, width=8, latents=12, options=options, **arguments)
    return build_network(settings, shape=(entry.channels or shape[0], *size), num_classes=_CLASSES, seed=seed)


def _images(network: ImageNetwork) -> Tensor:
    return network(draw_latents(network, _LABELS, seed=0, call=1), _LABELS)


def makes_images_of_any_size(name: str, options: Options) -> None:
    """In [0, 1], whatever size and colours are wanted, unless it says that it makes no others; in bfloat16, too."""
    entry = find_generator(name, options)
    for channels, height, width in ((3, 32, 32), (1, 8, 8), (1, 28, 28), (3, 30, 45)):
        channels, size = entry.channels or channels, (entry.size or height, entry.size or width)
        network = _made(name, options, (channels, *size))
        for dtype in (torch.float32, torch.bfloat16):
            with torch.no_grad(), torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
                images = _images(network)
            expected, got = [len(_LABELS), channels, *size], list(images.shape)
            ensure(got == expected, f"{name} must make images {expected}, got {got}")
            ensure_finite(images, f"the images of {name}")
            ensure(bool((images >= 0).all() and (images <= 1).all()), f"{name} must make images in [0, 1]")


def same_seed_same_images(name: str, options: Options) -> None:
    """Weights depend on the seed, images on weights, latents and labels; torch's own random state is left alone."""
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, same, other = (_made(name, options, seed=seed) for seed in (1, 1, 2))
    pairs = zip(first.state_dict().values(), same.state_dict().values(), strict=True)
    ensure(all(torch.equal(a, b) for a, b in pairs), f"{name} of one seed must have one set of weights")
    images = _images(first)
    ensure_equal(torch.rand(3), expected, f"making {name} must leave torch's random state as it was")
    ensure_equal(_images(same), images, f"{name} must make the same images of the same latents, also the second time")
    ensure_equal(_images(same), images, f"{name} must make the same images of the same latents, also the second time")
    if [*first.parameters()]:
        ensure(not torch.equal(_images(other), images), f"{name} of another seed must have other weights")


def latents_make_the_images(name: str, options: Options) -> None:
    network = _made(name, options)
    first, second = (network(draw_latents(network, _LABELS, seed=seed, call=1), _LABELS) for seed in (0, 1))
    ensure(not torch.equal(first, second), f"other latents must make other images by {name}")
    ensure(not torch.equal(first[0], first[3]), f"{name} must make other images of other latents within a batch")


def gradient_reaches_latents_and_weights(name: str, options: Options) -> None:
    network = _made(name, options)
    latents = draw_latents(network, _LABELS, seed=0, call=1).requires_grad_()
    network(latents, _LABELS).square().sum().backward()
    ensure(latents.grad is not None and bool(latents.grad.any()), f"no gradient reaches the latents of {name}")
    ensure_finite(latents.grad if latents.grad is not None else latents, f"gradients of the latents of {name}")
    lost = [key for key, parameter in network.named_parameters() if parameter.requires_grad and parameter.grad is None]
    ensure(not lost, f"no gradient reaches {', '.join(lost[:3])} of {name}")


def makes_images_by_label(name: str, options: Options) -> None:
    """Where a recipe wants that: with codes of the labels beside the latents, or with NAYER's layer in their place."""
    if not [*_made(name, options).parameters()]:
        return
    for flag in ("conditional", "noisy"):
        if flag == "noisy" and len(_made(name, options).latents) > 1:
            continue
        network = _made(name, options, (3, 32, 32), **{flag: True})
        latents = draw_latents(network, _LABELS, seed=0, call=1)
        others = torch.tensor([1, 2, 1, 0])
        differs = not torch.equal(network(latents, _LABELS)[0], network(latents, others)[0])
        ensure(differs, f"{name} with `{flag}` must make other images for other labels")


def state_is_all_there_is(name: str, options: Options) -> None:
    """What a checkpoint holds makes the same images, and a copy, as meta-learning takes, is apart from its original."""
    network, again = _made(name, options, seed=1), _made(name, options, seed=2)
    images = _images(network)
    copied = deepcopy(network)
    again.load_state_dict(network.state_dict())
    ensure_equal(_images(again), images, f"{name} must make the same images after its state was loaded")
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.zero_()
    ensure_equal(_images(network), images, f"a copy of {name} must have weights of its own")


def starts_afresh(name: str, options: Options) -> None:
    """As a recipe's `renew` wants it."""
    network = _made(name, options)
    if not [*network.parameters()]:
        return
    before = _images(network)
    renew(network, seed=0, call=2)
    ensure(not torch.equal(_images(network), before), f"{name} must make other images after it started afresh")
    ensure_finite(_images(network), f"the images of {name} after it started afresh")


CHECKS: Mapping[str, Callable[..., None]] = {
    "makes images of any size": makes_images_of_any_size,
    "same seed same images": same_seed_same_images,
    "latents make the images": latents_make_the_images,
    "gradient reaches latents and weights": gradient_reaches_latents_and_weights,
    "makes images by label": makes_images_by_label,
    "state is all there is": state_is_all_there_is,
    "starts afresh": starts_afresh,
}
