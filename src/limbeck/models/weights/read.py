"""Reads weights from files without ever running code that a file contains."""

import pickle
import re
from argparse import Namespace
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from limbeck.errors import UserError
from limbeck.models.weights.sets import choose, has_weights_name, named_set, weight_sets

TORCH_SUFFIXES = (".pth", ".pt", ".th", ".bin", ".tar", ".ckpt")
SUFFIXES = (".safetensors", *TORCH_SUFFIXES)


def read_state(path: str | Path, weights_key: str | None = None) -> dict[str, Tensor]:
    """The tensors of a weights file, by name.

    Args:
        path: `.safetensors`, or what `torch.save` wrote with a state dict in it, bare or nested under `state_dict`,
            `model`, `net`, `student`, `model_ema` and the like; it may have no suffix.
        weights_key: which of several state dicts; by default the only one that is no moving average.

    Raises:
        UserError: no such file, or one of another kind, damaged, in need of pickle, without weights, or with several
            sets of them.

    Example:
        >>> torch.save({"state_dict": student.network.state_dict()}, "student.pth")
        >>> list(read_state("student.pth"))[:1]
        ['layers.0.0.weight']
    """
    return unnest(read_file(path), str(path), weights_key)


def read_file(path: str | Path) -> Any:
    """All that a weights file holds; raises as `read_state`."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no weights file {str(path)!r}; check the path.")
    # Some benchmarks save under names without suffix, as `student_best`; these are checked by content.
    if path.suffix and path.suffix not in SUFFIXES:
        raise UserError(f"weights must be a file of type {', '.join(SUFFIXES)}, got {str(path)!r}.")
    return _safetensors(path) if path.suffix == ".safetensors" else _torch(path)


def unnest(content: Any, source: str, weights_key: str | None = None) -> dict[str, Tensor]:
    """The state dict inside a checkpoint; as `read_state`."""
    sets = sets_of(content, source)
    if weights_key is not None:
        sets = named_set(sets, weights_key, source)
        return sets[choose(list(sets), source)]
    named = [path for path in sets if has_weights_name(path)]
    if not named and "" not in sets:
        raise _no_weights(content, source)
    return sets[choose(named, source) if named else ""]


def sets_of(content: Any, source: str) -> dict[str, dict[str, Tensor]]:
    """All sets of weights inside a checkpoint, see `weight_sets`; raises as `read_state`."""
    if isinstance(content, torch.nn.Module):
        content = content.state_dict()
    if not isinstance(content, Mapping):
        raise UserError(f"{source!r} must hold a state dict, got {type(content).__name__}.")
    sets = weight_sets(content)
    if not sets:
        raise _no_weights(content, source)
    return sets


def _no_weights(content: Mapping[Any, Any], source: str) -> UserError:
    keys = ", ".join(str(key) for key in list(content)[:8]) or "nothing"
    return UserError(f"{source!r} holds no weights; a state dict was looked for, found {keys}.")


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except SafetensorError as error:
        raise UserError(f"{str(path)!r} is no complete safetensors file ({error}); copy it again.") from error


@cache
def _numpy_globals() -> list[Any]:
    """What rebuilds a NumPy number, as torch documents it: the function, and the types of booleans and numbers.

    Training scripts save such accuracies beside the weights, and their arguments in a namespace: values, which run
    nothing. Types that may hold objects are not among these.
    """
    scalar, _ = np.float64().__reduce__()
    types = {type(np.dtype(code)) for code in np.typecodes["AllInteger"] + np.typecodes["AllFloat"] + "?"}
    # Named by the module that NumPy 2 has it in, and that of NumPy 1.
    names = ("numpy._core.multiarray.scalar", "numpy.core.multiarray.scalar")
    return [*((scalar, name) for name in names), np.dtype, *types]


def _torch(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals([Namespace, *_numpy_globals()]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        needed = re.search(r"GLOBAL (\S+)", str(error))
        if needed is None:
            raise UserError(f"{str(path)!r} is damaged or no file of torch.save; copy it again.") from error
        raise UserError(
            f"{str(path)!r} needs pickle (for {needed[1]}), which may run any code that the file brings along, and is "
            "refused. If you trust where it comes from, convert it once: "
            "`torch.save(torch.load(file, weights_only=False)['model'], 'weights.pth')`, with whichever key it has in "
            "place of 'model', as 'state_dict' or 'net', or `.state_dict()` of it if it is a whole module."
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, IndexError, UnicodeDecodeError) as error:
        raise UserError(f"{str(path)!r} is damaged or no file of torch.save; copy it again.") from error
