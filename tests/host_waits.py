"""Finds, where there is no GPU, what would make one wait: operations whose result or size the program must know.

On the CPU the operations are seen. On torch's device without memory, "meta", whatever reads a tensor fails besides, and
copies between devices are seen as they would be of a GPU.
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
    """Inside, collects in `found` what would have waited."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.__name__.partition(".")[0]
        tensors = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        if {name, func.__name__} & WAITS or (name.startswith(("index", "_index")) and _by_mask(name, args)):
            self.found.append(func.__name__)
        elif {one.device.type for one in tensors if one.ndim} == {"cpu", "meta"}:
            self.found.append(f"{func.__name__} of tensors on two devices")
        elif name == "_to_copy" and _crosses(tensors[0], kwargs):
            self.found.append("a copy to another device")
        return func(*args, **(kwargs or {}))


def _by_mask(name: str, args: Any) -> bool:
    return len(args) > 1 and any(
        isinstance(one, Tensor) and one.dtype in (torch.bool, torch.uint8)
        for one in (args[1] if isinstance(args[1], list | tuple) else ())
    )


def _crosses(tensor: Tensor, kwargs: Any) -> bool:
    device = kwargs.get("device")
    return device is not None and torch.device(device).type != tensor.device.type and not kwargs.get("non_blocking")


class _Made(TorchFunctionMode):
    """Tensors made of Python's numbers on the device, which operations do not show."""

    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self.found = found

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        made = func in (torch.tensor, torch.as_tensor, torch.asarray, Tensor.new_tensor)
        source = args[1] if func is Tensor.new_tensor else args[0] if args else None
        if made and isinstance(result, Tensor) and result.device == META and not isinstance(source, Tensor):
            self.found.append("a tensor made of numbers")
        return result


@contextmanager
def host_waits() -> Iterator[list[str]]:
    """Inside, what would wait is added to the list."""
    mode = HostWaits()
    with mode, _Made(mode.found):
        yield mode.found


@pytest.fixture
def meta_copies_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device without memory copies from pinned memory by itself, as a GPU does."""
    alone: Callable[[torch.device], bool] = lambda device: device.type == "meta"  # noqa: E731
    monkeypatch.setattr(copies, "copies_alone", alone)
    monkeypatch.setattr(Tensor, "pin_memory", lambda self: self)
