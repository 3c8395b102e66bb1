"""Which network it is: one short hash of everything that shapes its answers and can be seen from Python."""

from dataclasses import dataclass

from limbeck.models.classifier import Classifier
from limbeck.models.description import describe

_SHOWN = 3


@dataclass(frozen=True)
class Identity:
    """What is known of which network it is.

    Attributes:
        fingerprint: 32 hex digits; see `fingerprint`.
        unseen: what the fingerprint cannot vouch for, in words; empty where equal fingerprints mean equal answers.
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

    Code of limbeck, torch, torchvision, timm, NumPy and Python itself counts by name and version; all other by what
    Python runs: bytecode, constants, defaults, closures, and the functions and values that it names. Attributes are
    numbers, texts, collections, arrays, tensors, functions and objects made of these. Neither addresses nor hash seeds
    play a part, so that another process finds the same; another version of Python compiles other bytecode.

    Foreign code is seen, but not vouched for (see `identify`): it may depend on files, on time, or on what it calls.
    """
    return identify(classifier).fingerprint
