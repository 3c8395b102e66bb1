"""Copies between the CPU and a device that nobody waits for.

A GPU copies from and to pinned memory by itself, in the order of what it was told, while the program goes on. Torch
keeps pinned memory from being used again before the copy is done.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def copies_alone(device: torch.device) -> bool:
    """Whether the device copies by itself what lies in pinned memory."""
    return device.type == "cuda"


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor on `device`; one of the CPU gets there without a wait.

    Example:
        >>> to_device(torch.ones(2), torch.device("cpu"))
        tensor([1., 1.])
    """
    if tensor.device.type != "cpu" or not copies_alone(device):
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def to_cpu(tensor: Tensor) -> Tensor:
    """A tensor of a device on the CPU, where it is once what `arrival` gives afterwards was called.

    Example:
        >>> here = to_cpu(torch.ones(2))
        >>> arrival(torch.device("cpu"))()
        >>> here
        tensor([1., 1.])
    """
    return tensor.to("cpu", non_blocking=copies_alone(tensor.device))  # torch pins what such a copy goes to


def arrival(device: torch.device) -> Callable[[], None]:
    """What waits until all is done that `device` was told up to now; what it is told later it goes on with."""
    if not copies_alone(device):
        return lambda: None
    done = torch.cuda.Event()
    done.record(torch.cuda.current_stream(device))
    return done.synchronize
