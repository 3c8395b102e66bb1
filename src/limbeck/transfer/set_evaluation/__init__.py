"""Judges a transfer set by the accuracy of fresh networks that are taught on it."""

from typing import TYPE_CHECKING

from limbeck.lazy import lazy_exports

if TYPE_CHECKING:
    from limbeck.transfer.set_evaluation.accuracies import NetworkAccuracy, evaluate_set
    from limbeck.transfer.set_evaluation.protocols import PROTOCOLS, RATES

__all__ = ["PROTOCOLS", "RATES", "NetworkAccuracy", "evaluate_set"]

_EXPORTS = {
    "PROTOCOLS": "limbeck.transfer.set_evaluation.protocols",
    "RATES": "limbeck.transfer.set_evaluation.protocols",
    "NetworkAccuracy": "limbeck.transfer.set_evaluation.accuracies",
    "evaluate_set": "limbeck.transfer.set_evaluation.accuracies",
}
__getattr__ = lazy_exports(__name__, _EXPORTS)
