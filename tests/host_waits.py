"""Finds, where there is no GPU, what would make one wait: operations whose result or size the program must know.

On the CPU the operations are seen. On torch's device without memory, "meta", whatever reads a tensor also fails, and
copies between devices are seen as they would be with a GPU.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from limbeck import copies

META = torch.device("meta")

WAITS = {
    *("_local_scalar_dense", "is_nonzero", "item", "equal"),  # read
    *("nonzero", "argwhere", "masked_select", "unique_consecutive", "unique_dim", "_unique", "_unique2"),  # sizes
    *("repeat_interleave.Tensor", "bincount", "histc"),
    # cuSOLVER's results are checked.
    *("_linalg_check_errors", "_linalg_svd", "_linalg_eigh", "_linalg_eigvals", "linalg_eig", "linalg_lstsq"),
}
"""Names in `torch.ops.aten`, with or without their overload, that wait on a GPU."""


class HostWaits(TorchDispatchMode):
    """Collects in `found` the operations that would have waited for a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.__name__.partition(".")[0]
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if {name, func.__name__} & WAITS or (name.startswith(("index", "_index")) and _by_mask(name, args)):
            self.found.append(func.__name__)
        elif {tensor.device.type for tensor in tensors if tensor.ndim} == {"cpu", "meta"}:
            self.found.append(f"{func.__name__} of tensors on two devices")
        elif name == "_to_copy" and _crosses(tensors[0], kwargs):
            self.found.append("a copy to another device")
        return func(*args, **(kwargs or {}))


def _by_mask(name: str, args: Any) -> bool:
    return len(args) > 1 and any(
        isinstance(item, Tensor) and item.dtype in (torch.bool, torch.uint8)
        for item in (args[1] if isinstance(args[1], list | tuple) else ())
    )


def _crosses(tensor: Tensor, kwargs: Any) -> bool:
    device = kwargs.get("device")
    return device is not None and torch.device(device).type != tensor.device.type and not kwargs.get("non_blocking")


class _Made(TorchFunctionMode):
    """Collects tensors made from Python numbers on the device, which dispatched operations do not show."""

    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self.found = found

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        from_numbers = func in (torch.tensor, torch.as_tensor, torch.asarray, Tensor.new_tensor)
        source = args[1] if func is Tensor.new_tensor else args[0] if args else None
        if from_numbers and isinstance(result, Tensor) and result.device == META and not isinstance(source, Tensor):
            self.found.append("a tensor made of numbers")
        return result


@contextmanager
def host_waits() -> Iterator[list[str]]:
    """Yields a list to which each operation that would wait is added."""
    mode = HostWaits()
    with mode, _Made(mode.found):
        yield mode.found


@pytest.fixture
def meta_copies_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device without memory copies from pinned memory by itself, as a GPU does."""
    alone: Callable[[torch.device], bool] = lambda device: device.type == "meta"  # noqa: E731
    monkeypatch.setattr(copies, "copies_alone", alone)
    monkeypatch.setattr(Tensor, "pin_memory", lambda self: self)
