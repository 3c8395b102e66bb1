"""Where work is computed unless the caller says so: on the first GPU, else on the CPU."""

import sys

import torch

from limbeck.errors import UserError

Device = torch.device | str | None
"""A device, its name, or "auto" (None is the same)."""


def resolve_device(device: Device = "auto") -> torch.device:
    """The device that is meant; `auto` is what `default_device` gives.

    Raises:
        UserError: no name of a device, or a GPU where torch finds none.

    Example:
        >>> resolve_device("cpu")
        device(type='cpu')
    """
    if device is None or device == "auto":
        return default_device()
    try:
        resolved = torch.device(device)
    except RuntimeError:
        raise UserError(
            f"`device` must be 'auto' or one of torch's devices, as 'cpu' or 'cuda:0', got {device!r}."
        ) from None
    if resolved.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"`device` is {str(resolved)!r}, and torch finds no GPU here; give 'cpu' or 'auto'.")
    return resolved


def default_device() -> torch.device:
    """What this process trains on, if it has settled on a device (as by `device: cpu`); else the first GPU or the CPU.

    Processes that share a run have settled on a GPU each.
    """
    accelerate = sys.modules.get("accelerate.state")  # not imported: nothing is settled
    if accelerate is not None and accelerate.PartialState._shared_state:
        return accelerate.PartialState().device
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")
