"""The processes that share a run: which of them writes, how they exit, and a token that identifies a process."""

import atexit
import gc
import uuid
from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from accelerate.state import PartialState
from accelerate.utils import parse_flag_from_env
from torch import Tensor, distributed


def is_main_process(*, cpu: bool = False) -> bool:
    """Whether this process writes the results of all; joins the process group where there are several.

    Args:
        cpu: whether they compute on the CPU, as with `device: cpu` or ACCELERATE_USE_CPU.
    """
    leave_at_exit()
    # Without `cpu`, processes that have no GPU would each take themselves for the only one.
    return PartialState(cpu=cpu or parse_flag_from_env("ACCELERATE_USE_CPU")).is_main_process


@cache
def leave_at_exit() -> None:
    """Has this process leave its group, if any, at exit while Python still runs.

    The group's threads hold tensors; freeing one while the interpreter shuts down aborts the process.
    """
    atexit.register(_leave)


_token = ""


def process_token() -> str:
    """A token unique to this process and the workers that it was passed to."""
    global _token
    _token = _token or uuid.uuid4().hex
    return _token


def share_token(token: str) -> None:
    """Gives this process, a worker, the token of the process whose objects it works on."""
    global _token
    _token = token


def _leave() -> None:
    gc.collect()  # a wrapped model in a cycle would keep the group and its threads alive
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def gather(signals: Mapping[str, Any]) -> dict[str, Any]:
    """Signals of the whole batch, in the order of the processes; other values than tensors stay as they are."""
    return {name: _whole(value) for name, value in signals.items()}


@torch.no_grad()
def gather_all(share: Tensor) -> Tensor:
    """All processes' shares of a batch, `[B / processes, ...]` each, as `[B, ...]`; of a single process, its own."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return share
    # Not every backend can gather bool.
    return _whole(share.byte()).bool() if share.dtype == torch.bool else _whole(share)


def _whole(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_whole(part) for part in value)
    return _Gathered.apply(value.contiguous()) if isinstance(value, Tensor) else value


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, share: Tensor) -> Tensor:
        ctx.count = len(share)
        shares = [torch.empty_like(share) for _ in range(distributed.get_world_size())]
        distributed.all_gather(shares, share)
        return torch.cat(shares)

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> Tensor:
        first = distributed.get_rank() * ctx.count
        # Distributed training averages gradients over processes, whereas these must add up.
        return outputs[0][first : first + ctx.count] * distributed.get_world_size()
