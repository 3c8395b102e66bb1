"""Identifies networks by one short hash of everything visible from Python that shapes their answers."""

from dataclasses import dataclass

from limbeck.models.classifier import Classifier
from limbeck.models.description import describe

_SHOWN = 3


@dataclass(frozen=True)
class Identity:
    """The fingerprint of a network and its limits.

    Attributes:
        fingerprint: 32 hex digits; see `fingerprint`.
        unseen: descriptions of what it cannot vouch for; empty where equal fingerprints mean equal answers.
    """

    fingerprint: str
    unseen: tuple[str, ...]

    @property
    def reason(self) -> str:
        """The first few of `unseen` in one phrase."""
        more = f" and {len(self.unseen) - _SHOWN} more" if len(self.unseen) > _SHOWN else ""
        return ", ".join(self.unseen[:_SHOWN]) + more


def identify(classifier: Classifier) -> Identity:
    """The fingerprint of a classifier, and what it cannot vouch for."""
    return Identity(*describe(classifier))


def fingerprint(classifier: Classifier) -> str:
    """32 hex digits of weights, buffers, normalisation, input size, code and attributes.

    Code of limbeck, torch, torchvision, timm, NumPy and Python itself counts by name and version; all other code by
    what Python runs: bytecode, constants, defaults, closures, and the functions and values that it names. Attributes
    may be numbers, texts, collections, arrays, tensors, functions and objects made of these. Memory addresses and hash
    seeds have no influence, so that another process computes the same; another version of Python compiles to other
    bytecode.

    Foreign code is seen, but not vouched for (see `identify`): it may depend on files, on time, or on what it calls.
    """
    return identify(classifier).fingerprint
