"""`use`: the settings that a student needs for training on a transfer set, which the set carries."""

import hashlib
import json
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from limbeck.errors import UserError, unknown_name

PARTS = ("student", "training", "objective", "teacher")
_TENSOR, _HASH = "tensor", "hash"


def plain_use(use: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `use` in plain mappings, lists, numbers, text and tensors.

    Args:
        use: any of `student` (model, options, input_size, channels, and mean and std or whitening), `training`,
            `objective` and `teacher`, as recipes have them; `whitening` is `{"mean": [C, H, W], "matrix": [D, D]}`.

    Raises:
        UserError: other parts, parts that are no mappings, or values that cannot be stored.

    Example:
        >>> plain_use({"training": {"epochs": 100, "milestones": (0.5, 0.75)}})
        {'training': {'epochs': 100, 'milestones': [0.5, 0.75]}}
    """
    if not isinstance(use, Mapping):
        raise UserError(f"`use` must be a mapping of {', '.join(PARTS)}, got {type(use).__name__}.")
    for part, value in use.items():
        if part not in PARTS:
            raise unknown_name("part of `use`", str(part), PARTS, f"Known are {', '.join(PARTS)}.")
        if not isinstance(value, Mapping):
            raise UserError(f"`use[{part!r}]` must be a mapping, as recipes have it, got {value!r}.")
    return {part: _plain(value, part) for part, value in use.items()}


def packed_use(use: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """`use` as JSON, in which names stand for tensors, and the tensors by name."""
    tensors: dict[str, Tensor] = {}
    return _packed(use, "", tensors), tensors


def unpacked_use(packed: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """What `packed_use` was given.

    Raises:
        UserError: a tensor is missing, or is not the one that was packed.
    """
    return {key: _unpacked(value, tensors) for key, value in packed.items()}


def use_in_words(use: Mapping[str, Any]) -> dict[str, Any]:
    """The same with the shapes of tensors instead of the tensors.

    Example:
        >>> use_in_words({"student": {"whitening": {"mean": torch.zeros(3, 2, 2)}}})
        {'student': {'whitening': {'mean': 'a tensor [3, 2, 2]'}}}
    """
    words: dict[str, Any] = {}
    for key, value in use.items():
        words[key] = f"a tensor {list(value.shape)}" if isinstance(value, Tensor) else value
        if isinstance(value, Mapping):
            words[key] = use_in_words(value)
    return words


def carried_beside(folder: str | Path) -> list[str]:
    """What the transfer set in a folder carries besides its 8-bit images, in words; empty for any other folder."""
    try:
        config = json.loads((Path(folder) / "transfer_set.json").read_text())
    except (OSError, ValueError):
        return []
    words = {"floats": "floats", "per_image": "several images in each", "use": "how students are taught on it"}
    return [text for key, text in words.items() if isinstance(config, dict) and config.get(key)]


def _plain(value: Any, path: str) -> Any:
    match value:
        case Tensor() if value.ndim == 0:
            return _plain(value.item(), path)
        case Tensor():
            kept = value.detach().cpu().contiguous()
            if not kept.is_floating_point() or not kept.isfinite().all():
                raise UserError(f"`use`: {path} must be floats, all of them finite, got {kept.dtype}.")
            return kept
        case Mapping():
            return {_key(key, path): _plain(inner, f"{path}.{key}") for key, inner in value.items()}
        case list() | tuple():
            return [_plain(inner, path) for inner in value]
        case None | bool() | int() | str():
            return value
        case float() if isfinite(value):
            return value
    raise UserError(f"`use`: {path} must be a finite number, text, list, mapping or tensor, got {value!r}.")


def _key(key: Any, path: str) -> str:
    if not isinstance(key, str) or not key or "." in key:
        raise UserError(f"`use`: the keys of {path} must be texts without dots, got {key!r}.")
    return key


def _packed(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        tensors[path] = value
        return {_TENSOR: path, _HASH: _hash(value)}
    if isinstance(value, Mapping):
        return {key: _packed(inner, f"{path}.{key}".lstrip("."), tensors) for key, inner in value.items()}
    return value


def _unpacked(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if not isinstance(value, Mapping):
        return value
    if set(value) == {_TENSOR, _HASH}:
        tensor = tensors.get(value[_TENSOR])
        if tensor is None or _hash(tensor) != value[_HASH]:
            raise UserError(f"{value[_TENSOR]} is {'not there' if tensor is None else 'another'}")
        return tensor
    return unpacked_use(value, tensors)


def _hash(tensor: Tensor) -> str:
    content = tensor.contiguous().reshape(-1).view(torch.uint8).numpy()
    digest = hashlib.blake2b(repr((str(tensor.dtype), tuple(tensor.shape))).encode(), digest_size=16)
    digest.update(content.tobytes())
    return digest.hexdigest()
