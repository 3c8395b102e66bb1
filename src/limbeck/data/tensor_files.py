"""Tensors in safetensors files, as beside the Parquet of a transfer set, with errors that say what to do."""

from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from limbeck.errors import UserError


def write_tensors(path: Path, tensors: Mapping[str, Tensor], about: dict[str, str] | None = None) -> None:
    """Writes safetensors; `save_file` would report a full disk by an error type of its own."""
    path.write_bytes(safetensors.torch.save({name: tensor.contiguous() for name, tensor in tensors.items()}, about))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Reads what `write_tensors` wrote into memory, so that the file may be replaced later.

    Raises:
        UserError: no such file, or a damaged one.
    """
    try:
        return safetensors.torch.load(path.read_bytes())
    except FileNotFoundError as error:
        raise UserError(f"{str(path.parent)!r} lacks {path.name}; copy the whole folder.") from error
    except (SafetensorError, OSError) as error:
        raise UserError(f"{str(path)!r} is damaged ({error}); copy the whole folder again.") from error
