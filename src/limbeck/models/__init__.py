"""Architectures, feature taps, weights in and out."""

from typing import TYPE_CHECKING

from limbeck.lazy import lazy_dir, lazy_exports

if TYPE_CHECKING:
    from limbeck.models.classifier import Classifier
    from limbeck.models.taps import Outputs, Taps
    from limbeck.models.weights.adapt import load_state
    from limbeck.models.weights.folder import load, save
    from limbeck.models.whitening import Whitening
    from limbeck.models.zoo import create, untrained, wrap

__all__ = ["Classifier", "Outputs", "Taps", "Whitening", "create", "load", "load_state", "save", "untrained", "wrap"]

_EXPORTS = {
    "Classifier": "limbeck.models.classifier",
    "Outputs": "limbeck.models.taps",
    "Taps": "limbeck.models.taps",
    "Whitening": "limbeck.models.whitening",
    "create": "limbeck.models.zoo",
    "load": "limbeck.models.weights.folder",
    "load_state": "limbeck.models.weights.adapt",
    "save": "limbeck.models.weights.folder",
    "untrained": "limbeck.models.zoo",
    "wrap": "limbeck.models.zoo",
}
__getattr__ = lazy_exports(__name__, _EXPORTS)
__dir__ = lazy_dir(__name__, _EXPORTS)
