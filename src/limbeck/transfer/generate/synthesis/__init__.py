"""The inner loop: a call of a few steps makes a batch of images."""

from limbeck.transfer.generate.synthesis.batch import Batch
from limbeck.transfer.generate.synthesis.synthesiser import Stop, Synthesiser

__all__ = ["Batch", "Stop", "Synthesiser"]
