"""Normalised views: augmentations of floats after a network's normalisation, which gradients pass through."""

from typing import TYPE_CHECKING

from limbeck.lazy import lazy_dir, lazy_exports

if TYPE_CHECKING:
    from limbeck.data.normalised_views.base import Draw, NormalisedViews
    from limbeck.data.normalised_views.building import normalised_views

__all__ = ["Draw", "NormalisedViews", "normalised_views"]

_EXPORTS = {
    "Draw": "limbeck.data.normalised_views.base",
    "NormalisedViews": "limbeck.data.normalised_views.base",
    "normalised_views": "limbeck.data.normalised_views.building",
}
__getattr__ = lazy_exports(__name__, _EXPORTS)
__dir__ = lazy_dir(__name__, _EXPORTS)
