"""What all normalised views must do: the same (seed, step, position) changes images alike, and gradients pass."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from limbeck.data.normalised_views import NormalisedViews, normalised_views
from limbeck.testing.assertions import ensure, ensure_equal, ensure_finite

Options = dict[str, Any]
_STEPS = range(12)
"""As many draws as each of a few operations needs to be among them."""


def _made(name: str, options: Options) -> NormalisedViews:
    return normalised_views({name: options})


def _images(channels: int = 3, size: tuple[int, int] = (16, 16), dtype: torch.dtype = torch.float32) -> Tensor:
    source = torch.Generator().manual_seed(0)
    return torch.randn(6, channels, *size, generator=source).to(dtype)


def gives_images_of_the_same_shape(name: str, options: Options) -> None:
    """And of the same type, whatever that and the shape are, without writing into those that it is given."""
    views = _made(name, options)
    kinds = ((3, (16, 16), torch.float32), (1, (9, 14), torch.float64), (3, (16, 16), torch.bfloat16))
    for channels, size, dtype in kinds:
        images = _images(channels, size, dtype)
        before = images.clone()
        for step in _STEPS:
            shown = views.apply(images, views.draw(6, seed=3, step=step))
            same = shown.dtype == dtype and shown.shape == images.shape
            ensure(same, f"{name} must give {dtype} {list(images.shape)}, got {shown.dtype} {list(shown.shape)}")
            ensure_finite(shown, f"what {name} gives")
        ensure_equal(images, before, f"{name} must not write into the images that it is given")


def depends_on_seed_step_and_position_alone(name: str, options: Options) -> None:
    """However often, beside whatever other images, and in whichever share of a batch."""
    views, images = _made(name, options), _images()
    for step in _STEPS:
        whole = views.apply(images, views.draw(6, seed=3, step=step))
        again = views.apply(images, views.draw(6, seed=3, step=step))
        ensure_equal(again, whole, f"{name} must give the same views twice; use `draw`")
        share = views.apply(images[2:], views.draw(4, seed=3, step=step, first=2))
        ensure_equal(share, whole[2:], f"{name} must not depend on the other images of a batch")


def changes_images_alike_where_draws_are_shared(name: str, options: Options) -> None:
    views = _made(name, options)
    alike = _images()[:1].expand(6, -1, -1, -1)
    for step in _STEPS:
        shown = views.apply(alike, views.draw(6, seed=3, step=step, shared=True))
        other = views.apply(alike[:2], views.draw(2, seed=3, step=step, shared=True))
        expected = other[:1].expand(6, -1, -1, -1)
        ensure_equal(shown, expected, f"{name} must change all images alike where a draw is shared")


def seed_and_step_each_change_the_views(name: str, options: Options) -> None:
    views, images = _made(name, options), _images()
    if not views.changes:
        return
    shown = [views.apply(images, views.draw(6, seed=0, step=step)) for step in _STEPS]
    others = [views.apply(images, views.draw(6, seed=seed, step=0)) for seed in _STEPS]
    for what, rendered in (("step", shown), ("seed", others)):
        ensure(
            not all(torch.equal(view, rendered[0]) for view in rendered),
            f"another {what} must give other views by {name}",
        )


def gradients_reach_the_images(name: str, options: Options) -> None:
    """Also those of a gradient of weights behind it, as images are learned by the way that they lead a network."""
    views, images = _made(name, options), _images().requires_grad_()
    reached = torch.zeros_like(images)
    for step in _STEPS:
        shown = views.apply(images, views.draw(6, seed=3, step=step))
        ensure(shown.requires_grad, f"no gradient reaches the images through {name}")
        (gradient,) = torch.autograd.grad(shown.square().sum(), images, retain_graph=True)
        weights = torch.ones_like(shown).requires_grad_()
        (led,) = torch.autograd.grad((weights * shown).square().sum(), weights, create_graph=True)
        (of_led,) = torch.autograd.grad(led.square().sum(), images)
        ensure_finite(gradient, f"the gradient through {name}")
        ensure_finite(of_led, f"the gradient of a step of weights through {name}")
        reached += gradient.abs()
    ensure(bool((reached > 0).any(dim=1).float().mean() > 0.5), f"no gradient reaches most pixels through {name}")


def differ_by_their_key(name: str, options: Options) -> None:
    """Two of the same options have one key."""
    first, second = _made(name, options), _made(name, options)
    ensure(
        first.key == second.key, f"{name} must have one key for the same options, got {first.key!r} and {second.key!r}"
    )


CHECKS: Mapping[str, Callable[..., None]] = {
    "gives images of the same shape": gives_images_of_the_same_shape,
    "depends on seed, step and position alone": depends_on_seed_step_and_position_alone,
    "changes images alike where draws are shared": changes_images_alike_where_draws_are_shared,
    "seed and step each change the views": seed_and_step_each_change_the_views,
    "gradients reach the images": gradients_reach_the_images,
    "are told apart by their key": differ_by_their_key,
}
