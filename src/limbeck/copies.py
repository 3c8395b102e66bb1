"""Copies between the CPU and a device that do not block the program.

A GPU copies from and to pinned memory asynchronously, in stream order, while the program continues. Torch keeps pinned
memory from being used again before the copy is done.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def copies_alone(device: torch.device) -> bool:
    """Whether the device copies pinned memory asynchronously."""
    return device.type == "cuda"


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor on `device`; one on the CPU is copied there without waiting.

    Example:
        >>> to_device(torch.ones(2), torch.device("cpu"))
        tensor([1., 1.])
    """
    if tensor.device.type != "cpu" or not copies_alone(device):
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def to_cpu(tensor: Tensor) -> Tensor:
    """A copy of a tensor on the CPU, complete once the function that `arrival` returns afterwards was called.

    Example:
        >>> here = to_cpu(torch.ones(2))
        >>> arrival(torch.device("cpu"))()
        >>> here
        tensor([1., 1.])
    """
    return tensor.to("cpu", non_blocking=copies_alone(tensor.device))  # torch pins the target of such a copy


def arrival(device: torch.device) -> Callable[[], None]:
    """A function that waits until `device` has done all work queued before this call, and no later work."""
    if not copies_alone(device):
        return lambda: None
    done = torch.cuda.Event()
    done.record(torch.cuda.current_stream(device))
    return done.synchronize
