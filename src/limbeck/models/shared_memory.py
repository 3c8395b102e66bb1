"""Tensors of a network that share memory: tied weights, views of one another, expanded ones.

They are saved as a copy under every name, and loaded into the memory that they share, so that they stay shared.
"""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from limbeck.errors import UserError
from limbeck.models.readiness import check_ready

Module = TypeVar("Module", bound=nn.Module)


def own_memory(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous tensors on the CPU that share no memory with each other; copied only where necessary."""
    seen: set[int] = set()
    apart = {}
    for name, value in state.items():
        tensor = value.detach().cpu().contiguous()
        address = tensor.untyped_storage().data_ptr()
        apart[name] = tensor.clone() if address in seen else tensor
        seen.add(address)
    return apart


def load_tensors(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """`module.load_state_dict(state)` that also writes into expanded tensors."""
    expanded = {name: tensor for name, tensor in module.state_dict().items() if is_expanded(tensor)}
    for name, tensor in expanded.items():
        first = tuple(slice(1) if stride == 0 else slice(None) for stride in tensor.stride())
        tensor[first].copy_(state[name][first])
    rest = {name: tensor for name, tensor in state.items() if name not in expanded}
    missing = module.load_state_dict(rest, strict=not expanded).missing_keys
    assert set(missing) == set(expanded), missing


def tied_names(state: Mapping[str, Tensor]) -> list[list[str]]:
    """Groups of names, two or more, under which a module's own state dict holds the very same values."""
    groups: dict[object, list[str]] = {}
    for name, tensor in state.items():
        if tensor.data_ptr():  # 0 without elements, or on the meta device
            groups.setdefault(_place(tensor), []).append(name)
    return [names for names in groups.values() if len(names) > 1]


def shared_with(module: nn.Module, other: nn.Module) -> list[str]:
    """Names of parameters and buffers of `module` that share memory with `other`."""
    addresses = {tensor.untyped_storage().data_ptr() for _, tensor in _named(other)}
    return [
        name for name, tensor in _named(module) if tensor.numel() and tensor.untyped_storage().data_ptr() in addresses
    ]


def is_expanded(tensor: Tensor) -> bool:
    """Whether several elements share one place in memory, as after `expand`."""
    return any(stride == 0 and size > 1 for stride, size in zip(tensor.stride(), tensor.shape, strict=True))


def is_dense(tensor: Tensor) -> bool:
    """Whether its elements fill one block of memory without gaps, in any order."""
    return torch.empty_like(tensor, device="meta").stride() == tensor.stride()


def kept(part: Any) -> Any:
    """A part as it is now: a module is copied, as its owner may train it further.

    Raises:
        UserError: a module that has no values yet, or cannot be copied.
    """
    if not isinstance(part, nn.Module):
        return part
    check_ready(part, type(part).__name__)
    return private_copy(part, type(part).__name__)


def private_copy(module: Module, who: str) -> Module:
    """A deep copy, in which tensors share memory as in the original.

    Raises:
        UserError: it cannot be copied.
    """
    try:
        duplicate = copy.deepcopy(module)
    except (RuntimeError, TypeError, NotImplementedError) as error:
        raise UserError(
            f"the {who} must be a module that `copy.deepcopy` can copy ({type(error).__name__}: {error}); of "
            "`torch.nn.utils`, take `torch.nn.utils.parametrizations`, and keep no results of a forward pass in it."
        ) from error
    # `deepcopy` alone makes every parameter a dense tensor of its own.
    for group in _groups(module):
        _share_again(duplicate, group, copied=True)
    return duplicate


@contextmanager
def keeping_shared(module: nn.Module) -> Iterator[None]:
    """Inside, the module may be moved to a device and a memory format; afterwards tensors share memory as before.

    `Module.to` moves every tensor separately, except parameters under several names.
    """
    groups = _groups(module)
    yield
    for group in groups:
        _share_again(module, group)


class _Shared(NamedTuple):
    """One of several tensors in one block of memory: the number of its module, its name there, its id and a view."""

    owner: int
    name: str
    identity: int
    view: Tensor


def _groups(module: nn.Module) -> list[list[_Shared]]:
    by_address: dict[int, list[_Shared]] = {}
    for number, owner in enumerate(module.modules()):
        for name, tensor in (*owner._parameters.items(), *owner._buffers.items()):
            if tensor is not None and tensor.numel():
                shared = _Shared(number, name, id(tensor), tensor.detach())
                by_address.setdefault(tensor.untyped_storage().data_ptr(), []).append(shared)
    owners = list(module.modules())
    several = [group for group in by_address.values() if len(group) > 1 and not _one_parameter(owners, group)]
    return several + [[single] for (single, *others) in by_address.values() if not others and is_expanded(single.view)]


def _one_parameter(owners: list[nn.Module], group: list[_Shared]) -> bool:
    """Whether a group is one parameter under several names, which copies and moves keep as one."""
    return len({shared.identity for shared in group}) == 1 and all(
        shared.name in owners[shared.owner]._parameters for shared in group
    )


def _share_again(module: nn.Module, group: list[_Shared], *, copied: bool = False) -> None:
    """Replaces the tensors of a group by views of one storage, or of a copy of it, on the device where they are now."""
    owners = list(module.modules())
    device = getattr(owners[group[0].owner], group[0].name).device
    first = group[0].view
    content = torch.empty(0, dtype=torch.uint8, device=first.device).set_(first.untyped_storage())
    storage = (content.clone() if copied else content.to(device)).untyped_storage()
    buffers: dict[int, Tensor] = {}
    for shared in group:
        fresh = torch.empty(0, dtype=shared.view.dtype, device=device)
        fresh.set_(storage, shared.view.storage_offset(), shared.view.size(), shared.view.stride())
        owner = owners[shared.owner]
        if shared.name in owner._parameters:
            getattr(owner, shared.name).data = fresh
        else:
            owner._buffers[shared.name] = buffers.setdefault(shared.identity, fresh)


def _named(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters(remove_duplicate=False)
    yield from module.named_buffers(remove_duplicate=False)


def _place(value: Any) -> tuple[object, ...]:
    return (value.data_ptr(), value.dtype, value.shape, value.stride())
