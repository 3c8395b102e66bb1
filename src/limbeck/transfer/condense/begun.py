"""What learning began with, kept in its checkpoint: who goes on is to learn from the same."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from limbeck.errors import UserError
from limbeck.models.classifier import Classifier
from limbeck.training.checkpoint import Checkpoint

CHECKPOINT = "learning.safetensors"
"""In the maker's folder: all that the next iteration hangs on."""
BEGUN = "begun"
"""Among the notes of the checkpoint."""


class Begun:
    """What is read while images are learned, by name: as it is now, and as it was where there is a run to go on with.

    Args:
        folder: of the maker.

    Attributes:
        before: what was noted; empty where learning has not begun, or was begun by a version that noted nothing.
        now: what is to be noted.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, path = folder, folder / CHECKPOINT
        notes = Checkpoint.load(path, tensors=False).notes if path.exists() else {}
        self.before: Mapping[str, Any] = notes.get(BEGUN, {})
        self.now: dict[str, Any] = {}

    def note(self, name: str, value: Any, what: str) -> None:
        """Takes note of what something is.

        Args:
            name: of it in the checkpoint.
            value: that JSON can hold.
            what: it is, in words, as the beginning of a sentence in the plural.

        Raises:
            UserError: learning began with another.
        """
        self.now[name] = value
        if name in self.before and self.before[name] != value:
            raise UserError(
                f"{what} are others than those that learning began with, and the images would be others, too; bring "
                f"those back, or remove {str(self._folder)!r} to begin anew."
            )


def digest_of(network: Classifier) -> str:
    """32 hex digits of weights and buffers, which a newer version of a library does not change."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
