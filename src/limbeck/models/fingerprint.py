"""Which network it is: one short hash of everything that shapes its answers."""

import hashlib

import torch

from limbeck.models.classifier import Classifier


def fingerprint(classifier: Classifier) -> str:
    """32 hex digits of weights, buffers, normalisation, input size and the modules' own description.

    Two modules of equal description and weights, but with other code behind them, are not told apart.
    """
    digest = hashlib.blake2b(repr(classifier).encode(), digest_size=16)
    digest.update(repr((classifier.normalisation, classifier.channels, classifier.taps)).encode())
    for name, value in sorted(classifier.state_dict().items()):
        digest.update(repr((name, value.dtype, tuple(value.shape))).encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
