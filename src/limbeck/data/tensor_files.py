"""Files of tensors, as beside the Parquet of a transfer set: safetensors, with errors that say what to do."""

from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from limbeck.errors import UserError


def write_tensors(path: Path, tensors: Mapping[str, Tensor], about: dict[str, str] | None = None) -> None:
    """As safetensors; `save_file` would report a full disk as an error of its own kind."""
    path.write_bytes(safetensors.torch.save({name: tensor.contiguous() for name, tensor in tensors.items()}, about))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """What `write_tensors` wrote, in memory of its own: the file may be replaced meanwhile.

    Raises:
        UserError: no such file, or a damaged one.
    """
    try:
        return safetensors.torch.load(path.read_bytes())
    except FileNotFoundError as error:
        raise UserError(f"{str(path.parent)!r} lacks {path.name}; copy the whole folder.") from error
    except (SafetensorError, OSError) as error:
        raise UserError(f"{str(path)!r} is damaged ({error}); copy the whole folder again.") from error
