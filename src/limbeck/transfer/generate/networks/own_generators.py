"""Generators that are not limbeck's own: entries made from a module's class, or from a function that makes one."""

import inspect
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from torch import nn

from limbeck.errors import UserError
from limbeck.foreign import check_remarks
from limbeck.signatures import inputs_and_options, summary_of
from limbeck.transfer.generate.generator_settings import Generator
from limbeck.transfer.generate.networks.catalogue import GeneratorEntry
from limbeck.transfer.generate.networks.codes import NoisyCodes
from limbeck.transfer.generate.networks.network import ImageNetwork

_INPUTS = ("latents", "channels", "size", "width", "num_classes")


def describe(name: str, part: Any, remarks: Mapping[str, Any]) -> GeneratorEntry:
    """The catalogue's entry of a generator of the user's own.

    Args:
        name: its name.
        part: a class of modules, or a function that makes one. It takes `latents`, how many numbers an image is made
            from; and if it can do with several, `channels` and `size` (height, width) of the images, `width`, and
            `num_classes`. Further parameters are options. The module makes images [B, C, H, W] in [0, 1] of latents
            [B, Z], or of [B, *latent_shape] where it has such an attribute; it may take `labels` int64 [B], too.
        remarks: `summary`; `channels` and `size` of a network that makes no other images, by default 3 and 32.

    Raises:
        UserError: it is neither.
    """
    what = f"generator {name!r}"
    if (
        not callable(part)
        or (isinstance(part, type) and not issubclass(part, nn.Module))
        or isinstance(part, nn.Module)
    ):
        raise UserError(f"{what} must be a class of modules or a function that makes one, got {part!r}.")
    check_remarks(remarks, ("summary", "channels", "size"), what)
    inputs, options = inputs_and_options(part, _INPUTS, what)
    if "latents" not in inputs:
        raise UserError(f"{what} must take `latents`, got {', '.join(inputs) or 'nothing'}.")
    fixed = {"channels": remarks.get("channels", 3), "size": remarks.get("size", 32)}
    for name, value in fixed.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UserError(f"`{name}` of {what} must be a whole number >= 1, got {value!r}.")
    return GeneratorEntry(
        str(remarks.get("summary", summary_of(part))),
        options,
        **{name: value for name, value in fixed.items() if name not in inputs},
        made_by=partial(build, part, what, tuple(inputs)),
    )


def build(
    part: Callable[..., Any],
    what: str,
    inputs: tuple[str, ...],
    settings: Generator,
    *,
    shape: tuple[int, int, int],
    num_classes: int,
    noisy: NoisyCodes | None,
) -> ImageNetwork:
    """The network, ready to use; whoever calls it seeds torch's global generator."""
    count = settings.latents + (num_classes if settings.conditional else 0)
    available = {"latents": count, "channels": shape[0], "size": shape[1:], "width": settings.width}
    available["num_classes"] = num_classes
    make = partial(part, **{name: available[name] for name in inputs}, **settings.options)
    body = make()
    if not isinstance(body, nn.Module):
        raise UserError(f"{what} must be a module, got {type(body).__name__}.")
    first, *places = getattr(body, "latent_shape", (count,))
    if noisy is not None and places:
        raise UserError(
            f"`noisy` makes one row of latents an image, and those of {what} are {[first, *places]}; leave it out."
        )
    network = ImageNetwork(
        body,
        latents=(first - (count - settings.latents), *places),
        num_classes=num_classes,
        conditional=settings.conditional,
        noisy=noisy,
        labelled="labels" in inspect.signature(body.forward).parameters,
        remake=make,
    )
    _check_images(network, what, shape)
    return network


@torch.no_grad()
def _check_images(network: ImageNetwork, what: str, shape: tuple[int, int, int]) -> None:
    """Makes two images with a copy of the network, so that its own batch norms stay as they are."""
    labels = torch.zeros(2, dtype=torch.int64)
    inputs = network.latents if network.noisy is None else (*network.latents, network.noisy.codes.shape[1])
    try:
        images = deepcopy(network)(torch.randn(2, *inputs), labels)
    except Exception as error:  # the code is the user's own
        raise UserError(
            f"{what} fails on its first images, of latents {[2, *inputs]} ({type(error).__name__}: {error})."
        ) from error
    expected = [2, *shape]
    if list(images.shape) != expected:
        raise UserError(f"{what} must make images {expected} of two latents here, got {list(images.shape)}.")
    low, high = (float(bound) for bound in images.aminmax())
    if not (low >= 0 and high <= 1):
        raise UserError(f"{what} must make images in [0, 1], got values from {low:g} to {high:g}; end it in a sigmoid.")
