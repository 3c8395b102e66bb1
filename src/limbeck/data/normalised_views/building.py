"""Builds normalised views from a recipe's settings."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from limbeck.data.augmentation import key_of
from limbeck.data.normalised_views.base import Draw, NormalisedViews
from limbeck.data.normalised_views.catalogue import NORMALISED_VIEWS, check_normalised_views, named
from limbeck.data.normalised_views.crop_scale_rotate import CropScaleRotate
from limbeck.data.normalised_views.dsa import Dsa


class Unchanged(NormalisedViews):
    """The images as they are."""

    key = "none"
    changes = False

    def change(self, images: Tensor, draw: Draw) -> Tensor:
        return images


class Chain(NormalisedViews):
    """Normalised views one after the other, each with its own draw."""

    def __init__(self, parts: Sequence[NormalisedViews]) -> None:
        self.parts = tuple(parts)
        keys = [part.key for part in self.parts]
        self.key = None if None in keys else key_of(self, parts=keys)
        self.own = any(part.own for part in self.parts)

    def change(self, images: Tensor, draw: Draw) -> Tensor:
        for number, part in enumerate(self.parts):
            images = part.change(images, draw.part(number))
        return images


Spec = str | Callable[..., Any] | Mapping[Any, Any] | Sequence[Any] | NormalisedViews | None


def normalised_views(spec: Spec) -> NormalisedViews:
    """Builds normalised views from a recipe's `normalised_views`.

    Args:
        spec: a name (`"dsa"`), a name with options (`{"dsa": {"shift": 0.25}}`), a list of these, applied in order,
            `"none"` or None for the images as they are, or normalised views, returned as they are.

    Raises:
        UserError: for unknown names and options, and options out of their ranges.

    Example:
        >>> views = normalised_views({"dsa": {"operations": ["colour", "crop"]}})
        >>> views.operation(views.draw(2, seed=0, step=0)) in ("colour", "crop")
        True
    """
    if isinstance(spec, NormalisedViews):
        return spec
    if isinstance(spec, Sequence) and not isinstance(spec, str):
        parts = [normalised_views(part) for part in spec]
    else:
        spec = check_normalised_views(spec)
        parts = [_build(name, options) for name, options in named(spec)]
    parts = [part for part in parts if part.changes]
    if not parts:
        return Unchanged()
    return parts[0] if len(parts) == 1 else Chain(parts)


def _build(name: str, options: Mapping[str, Any]) -> NormalisedViews:
    builders = {"none": Unchanged, "dsa": Dsa, "crop-scale-rotate": CropScaleRotate}
    return (NORMALISED_VIEWS[name].made_by or builders[name])(**options)
