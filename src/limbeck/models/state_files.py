"""Reading weights from files, without ever running code that a file brings along."""

import pickle
import re
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from limbeck.errors import UserError

TORCH_SUFFIXES = (".pth", ".pt", ".th", ".bin", ".tar", ".ckpt")
SUFFIXES = (".safetensors", *TORCH_SUFFIXES)

# Where training scripts put the weights inside a checkpoint.
_NESTS = ("state_dict", "model", "model_state_dict", "net", "network", "student", "weights", "params")


def read_state(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a weights file, by name.

    Args:
        path: `.safetensors`, or what `torch.save` wrote with a state dict in it, bare or nested under `state_dict`,
            `model`, `net`, `student` and the like; it may have no suffix.

    Raises:
        UserError: no such file, another kind of file, a damaged one, one that needs pickle, one without weights.

    Example:
        >>> torch.save({"state_dict": student.network.state_dict()}, "student.pth")
        >>> list(read_state("student.pth"))[:1]
        ['layers.0.0.weight']
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no weights file {str(path)!r}; check the path.")
    # Some benchmarks save under bare names, as in `student_best`; what is no file of torch.save is told by its content.
    if path.suffix and path.suffix not in SUFFIXES:
        raise UserError(f"weights must be a file of type {', '.join(SUFFIXES)}, got {str(path)!r}.")
    return unnest(_safetensors(path) if path.suffix == ".safetensors" else _torch(path), str(path))


def unnest(content: Any, source: str) -> dict[str, Tensor]:
    """The state dict inside a checkpoint."""
    if isinstance(content, torch.nn.Module):
        return dict(content.state_dict())
    if not isinstance(content, Mapping):
        raise UserError(f"{source!r} must hold a state dict, got {type(content).__name__}.")
    nests = [key for key in _NESTS if isinstance(content.get(key), Mapping | torch.nn.Module)]
    if len(nests) == 1:
        return unnest(content[nests[0]], source)
    if len(nests) > 1:
        raise UserError(
            f"{source!r} holds several state dicts ({', '.join(nests)}) and does not say which is meant; open it, "
            "take one out, and give that to `load_state`."
        )
    state = {key: value for key, value in content.items() if isinstance(key, str) and isinstance(value, Tensor)}
    if not state:
        keys = ", ".join(str(key) for key in list(content)[:8]) or "nothing"
        raise UserError(f"{source!r} holds no weights; a state dict was looked for, found {keys}.")
    return state


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except SafetensorError as error:
        raise UserError(f"{str(path)!r} is no complete safetensors file ({error}); copy it again.") from error


def _torch(path: Path) -> Any:
    try:
        # Training scripts keep their command line beside the weights; a namespace holds values and runs nothing.
        with torch.serialization.safe_globals([Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        needed = re.search(r"GLOBAL (\S+)", str(error))
        if needed is None:
            raise UserError(f"{str(path)!r} is damaged or no file of torch.save; copy it again.") from error
        raise UserError(
            f"{str(path)!r} needs pickle (for {needed[1]}), which may run any code that the file brings along, and is "
            "refused. If you trust where it comes from, convert it once: "
            "`torch.save(torch.load(file, weights_only=False)['state_dict'], 'weights.pth')`, or `.state_dict()` of it "
            "if it is a whole module."
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, IndexError, UnicodeDecodeError) as error:
        raise UserError(f"{str(path)!r} is damaged or no file of torch.save; copy it again.") from error
