"""Where published weights are found: under `LIMBECK_WEIGHTS`, else downloaded once into torch's cache."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from limbeck.errors import UserError
from limbeck.models.named import NamedWeights
from limbeck.models.state_files import read_state, unnest


def named_state(weights: NamedWeights) -> Mapping[str, Any]:
    """The tensors of published weights, their file's hash checked.

    Raises:
        UserError: the file's hash is another one, or it cannot be downloaded.
    """
    root = os.environ.get("LIMBECK_WEIGHTS")
    local = Path(root, weights.file) if root else None
    if local is not None and local.is_file():
        _check_hash(local, weights)
        return read_state(local)
    try:
        content = torch.hub.load_state_dict_from_url(
            weights.url, map_location="cpu", check_hash=True, weights_only=True, progress=False
        )
    except OSError as error:
        raise UserError(
            f"{weights.file} cannot be downloaded from {weights.url} ({error}); fetch it elsewhere, put it into a "
            "folder, and set the environment variable LIMBECK_WEIGHTS to that folder."
        ) from error
    except RuntimeError as error:
        raise UserError(f"{weights.file} from {weights.url} is not what was published ({error}).") from error
    return unnest(content, weights.file)


def _check_hash(path: Path, weights: NamedWeights) -> None:
    got = hashlib.sha256(path.read_bytes()).hexdigest()
    if not got.startswith(weights.sha256_prefix):
        raise UserError(
            f"{str(path)!r} is not what was published: its SHA-256 must start with {weights.sha256_prefix}, got "
            f"{got[:8]}; copy it again, or remove it to have it downloaded."
        )
