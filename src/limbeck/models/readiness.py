"""Checks that a network's parameters and buffers have values that can be kept in a file."""

from functools import cache
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from limbeck.errors import UserError


def check_ready(network: nn.Module, who: str) -> None:
    """Raises a UserError that names everything in `network` that has no values yet or cannot be kept."""
    wrong = unready(network, who)
    if wrong:
        raise UserError("; ".join(wrong) + ".")


def unready(network: nn.Module, who: str) -> list[str]:
    """Sentences about what is wrong with the tensors of a network that messages call `who`."""
    lazy, meta, unstorable = [], [], []
    for name, value in network.state_dict().items():
        if nn.parameter.is_lazy(value):
            lazy.append(name)
        elif isinstance(value, Tensor) and value.is_meta:
            meta.append(name)
        elif kind := _cannot_be_kept(value):
            unstorable.append(f"{name} ({kind})")
    wrong = []
    if lazy:
        wrong.append(
            f"the {who}'s {_some(lazy)} must have a shape, got lazy parameters; run it on a batch before it is wrapped"
        )
    if meta:
        wrong.append(f"the {who}'s {_some(meta)} must have values, got tensors on the meta device; load weights first")
    if unstorable:
        wrong.append(
            f"the {who}'s state must be plain tensors that safetensors can hold, got {_some(unstorable)}; make it a "
            "buffer of another type, or one that is not persistent"
        )
    return wrong


def is_finite(values: Tensor) -> bool:
    """Whether there is neither NaN nor infinity among them."""
    if not (values.is_floating_point() or values.is_complex()):
        return True
    # One-byte floats are a storage format without arithmetic.
    return bool((values.float() if values.element_size() == 1 else values).isfinite().all())


def _cannot_be_kept(value: Any) -> str:
    if not isinstance(value, Tensor):
        return type(value).__name__
    if value.layout != torch.strided or value.is_quantized:
        return "quantized" if value.is_quantized else str(value.layout).removeprefix("torch.")
    return "" if _has_format(value.dtype) else str(value.dtype).removeprefix("torch.")


@cache
def _has_format(dtype: torch.dtype) -> bool:
    """Whether the installed safetensors can store this dtype; newer versions know more."""
    try:
        safetensors.torch.save({"one": torch.zeros(1).to(dtype)})
    except (KeyError, ValueError, RuntimeError, safetensors.SafetensorError):
        return False
    return True


def _some(names: list[str], limit: int = 3) -> str:
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
