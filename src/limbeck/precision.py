"""Precision and memory order of a run: as the settings say, or what the machine computes fastest in."""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal, get_args

import torch

from limbeck.autotune import Fastest, fastest_on
from limbeck.errors import unknown_name

Precision = Literal["fp32", "bf16", "auto"]


def check_precision(precision: str) -> None:
    """Raises a UserError for one that is not allowed."""
    if precision not in get_args(Precision):
        raise unknown_name("precision", precision, get_args(Precision))


def resolve_precision(precision: str, device: torch.device, fastest: Fastest | None = None) -> torch.dtype:
    """The type to compute in; `auto` is bf16 where `device` is faster in it (see `autotune`), float32 elsewhere.

    Args:
        precision: "bf16", "fp32" or "auto".
        device: where it is to be computed.
        fastest: what `auto` means, as measured for one network; by default what is fastest on the device in general.
    """
    if precision == "auto":
        precision = (fastest or fastest_on(device)).precision
    return torch.bfloat16 if precision == "bf16" else torch.float32


def resolve_channels_last(
    channels_last: bool | Literal["auto"], device: torch.device, dtype: torch.dtype, fastest: Fastest | None = None
) -> bool:
    """Whether images and weights lie channels-last in memory; `auto` is what `dtype` is computed faster in.

    Args:
        channels_last, device, dtype: the setting, the device, and the type that is computed in.
        fastest: see `resolve_precision`.
    """
    if channels_last == "auto":
        return (fastest or fastest_on(device)).channels_last["bf16" if dtype == torch.bfloat16 else "fp32"]
    return channels_last


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[object]:
    """Autocast to `dtype`; nothing for float32."""
    return torch.autocast(device.type, dtype=dtype) if dtype != torch.float32 else nullcontext()
