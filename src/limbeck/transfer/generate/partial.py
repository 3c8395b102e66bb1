"""What a source keeps on disk while it makes images, so that little is lost when it is stopped midway."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from limbeck.files import atomic_path
from limbeck.models.shared_memory import own_memory

CHAIN_BYTES = 16
_BEGUN = "begun"


class PartialState:
    """One file, replaced in one atomic step, that records what its content was begun from.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def save(self, begun: Tensor, state: Mapping[str, Tensor]) -> None:
        """Keeps tensors, in place of what was kept before.

        Args:
            begun: uint8 [16], what they were begun from, see `follow`.
            state: any tensors.

        Raises:
            UserError: no room, or no permission.
        """
        with atomic_path(self.path) as temporary:
            save_file(own_memory(state), temporary, metadata={_BEGUN: _hex(begun)})

    def load(self, begun: Tensor) -> dict[str, Tensor] | None:
        """What was kept, if it was begun from the same; None if not, or if the file is damaged or missing."""
        try:
            with safe_open(self.path, framework="pt") as file:
                if (file.metadata() or {}).get(_BEGUN) != _hex(begun):
                    return None
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
        except (OSError, SafetensorError, ValueError):
            return None

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


def follow(before: Tensor, number: int, student: nn.Module | None) -> Tensor:
    """A hash, uint8 [16], of all that the images of a round depend on besides settings, seed and teacher.

    Args:
        before: that of the round before.
        number: of the round.
        student: whose weights the images depend on, or None.

    Example:
        >>> first = follow(torch.zeros(16, dtype=torch.uint8), 0, None)
        >>> torch.equal(first, follow(torch.zeros(16, dtype=torch.uint8), 0, None)), len(first)
        (True, 16)
    """
    digest = hashlib.blake2b(before.numpy().tobytes() + json.dumps(number).encode(), digest_size=CHAIN_BYTES)
    if student is not None:
        sums = [part for tensor in student.state_dict().values() for part in _sums(tensor)]
        digest.update(torch.stack(sums).cpu().numpy().tobytes())
    return torch.frombuffer(bytearray(digest.digest()), dtype=torch.uint8)


def json_tensor(content: Any) -> Tensor:
    """Anything that JSON can hold, as uint8, for states that are tensors.

    Example:
        >>> from_json_tensor(json_tensor({"seconds": 1.5}))
        {'seconds': 1.5}
    """
    return torch.frombuffer(bytearray(json.dumps(content).encode()), dtype=torch.uint8)


def from_json_tensor(content: Tensor) -> Any:
    """What `json_tensor` was given."""
    return json.loads(content.numpy().tobytes())


def _sums(tensor: Tensor) -> list[Tensor]:
    """Two sums over the bits of a tensor, the second one weighted by position.

    Integers wrap around, so that the order of summation does not matter: the sums are exact, and as fast as memory is
    read, unlike a hash of a large student before every short round.
    """
    flat = tensor.detach().contiguous().flatten()
    dtypes = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    bits = flat.view(dtypes[flat.element_size()]).long()
    places = torch.arange(1, len(bits) + 1, device=bits.device)
    return [bits.sum(), (bits * places).sum()]


def _hex(begun: Tensor) -> str:
    return begun.numpy().tobytes().hex()
