"""What learning images will take, measured on a part of it."""

import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from limbeck.copies import arrival
from limbeck.memory import free_memory


@dataclass(frozen=True)
class Estimate:
    """What a run will take.

    Attributes:
        seconds: of all iterations.
        memory: peak bytes beyond what is held already.
        disk: bytes of a checkpoint.
        chunk: images of a step that the network sees at a time; None for all of them.
    """

    seconds: float
    memory: int
    disk: int
    chunk: int | None = None


class PeakMemory(TorchDispatchMode):
    """Counts the bytes of tensors that are made inside: those alive now, and at the peak.

    Workspaces that kernels allocate themselves are not counted.

    Example:
        >>> with PeakMemory() as memory:
        ...     total = sum(torch.ones(1000).sum() for _ in range(5))
        >>> 4000 <= memory.peak < 8000
        True
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._note(leaf.untyped_storage())
        return result

    def _note(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return
        self._known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, key, size).atexit = False

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


def measured(work: Callable[[], object], device: torch.device) -> tuple[float, int]:
    """Seconds and peak bytes of some work; unless it takes long it is timed a second time, as a first run is slower."""
    began = time.perf_counter()
    with PeakMemory() as memory:
        work()
    arrival(device)()
    seconds = time.perf_counter() - began
    if seconds < _LONG:
        began = time.perf_counter()
        work()
        arrival(device)()
        seconds = time.perf_counter() - began
    return seconds, memory.peak


def memory_left(device: torch.device) -> int:
    """Free bytes on the device; on a GPU with those that torch has reserved and does not use."""
    if device.type != "cuda":
        return free_memory()
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + unused


def rough_time(seconds: float) -> str:
    """A time in words, to one or two figures.

    Example:
        >>> rough_time(20), rough_time(700), rough_time(9000)
        ('less than a minute', 'about 12 min', 'about 2.5 h')
    """
    hours, minutes = seconds / 3600, seconds / 60
    short = f"about {minutes:.0f} min" if minutes >= 1 else "less than a minute"
    return f"about {hours:,.1f} h" if hours >= 1 else short


def bytes_of(state: Mapping[str, Tensor]) -> int:
    return sum(tensor.nbytes for tensor in state.values())


_LONG = 10.0
