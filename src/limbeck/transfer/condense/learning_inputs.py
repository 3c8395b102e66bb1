"""What learning began with, noted in its checkpoint, so that a resumed run learns from the same."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from limbeck.errors import UserError
from limbeck.models.classifier import Classifier
from limbeck.training.checkpoint import Checkpoint

CHECKPOINT = "learning.safetensors"
"""File in the maker's folder with all that the next iteration depends on."""
BEGUN = "begun"
"""Key among the notes of the checkpoint."""


class Begun:
    """The inputs of learning by name: as they are now, and as the run that is resumed noted them.

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
        """Notes an input of learning.

        Args:
            name: its key in the checkpoint.
            value: what identifies it, as JSON can hold it.
            what: plural noun for it, with which the message of an error begins.

        Raises:
            UserError: learning began with another value.
        """
        self.now[name] = value
        if name in self.before and self.before[name] != value:
            raise UserError(
                f"{what} are others than those that learning began with, and the images would be others, too; bring "
                f"those back, or remove {str(self._folder)!r} to begin anew."
            )


def digest_of(network: Classifier) -> str:
    """Hash (32 hex digits) of weights and buffers alone: unlike `fingerprint`, new versions of libraries keep it."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
