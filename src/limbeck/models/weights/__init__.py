"""Weights in and out: limbeck's own folders, published files, and other people's state dicts."""

from typing import TYPE_CHECKING

from limbeck.lazy import lazy_exports

if TYPE_CHECKING:
    from limbeck.models.weights.folder import load, save

__all__ = ["load", "save"]

__getattr__ = lazy_exports(__name__, {"load": "limbeck.models.weights.folder", "save": "limbeck.models.weights.folder"})
