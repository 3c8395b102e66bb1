"""What a GPU computes over and over, recorded once: launching hundreds of small kernels takes longer than they do."""

from collections.abc import Callable, Hashable
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

Function = Callable[..., tuple[Tensor, ...]]


class Replayed:
    """Functions of tensors on a GPU that are recorded as CUDA graphs, and later replayed with other values.

    A recording is made of a function for each kind of its arguments, by their shapes and types. What it reads beside
    these must stay where it is in memory; it must not draw random numbers or wait for the device. All share the memory
    that they compute in, as no two run at once.
    """

    def __init__(self) -> None:
        self._recordings: dict[Hashable, _Recording] = {}
        self._pool = cache(torch.cuda.graph_pool_handle)  # no GPU is touched before there is something to record

    def __call__(self, function: Function, *tensors: Tensor) -> tuple[Tensor, ...]:
        """The function's results for these arguments, without gradients; the next call, of any, overwrites them."""
        kind = function, *((tensor.shape, tensor.dtype) for tensor in tensors)
        with torch.cuda.device(tensors[0].device):
            if kind not in self._recordings:
                self._recordings[kind] = _record(function, tensors, self._pool())
            recording = self._recordings[kind]
            for argument, tensor in zip(recording.arguments, tensors, strict=True):
                argument.copy_(tensor)
            recording.graph.replay()
        return recording.results


class _Recording(NamedTuple):
    graph: torch.cuda.CUDAGraph
    arguments: tuple[Tensor, ...]
    results: tuple[Tensor, ...]


def _record(function: Function, tensors: tuple[Tensor, ...], pool: Any) -> _Recording:
    arguments = tuple(tensor.detach().clone() for tensor in tensors)
    # Libraries choose kernels and take memory at their first calls, which no graph may hold; and by another stream than
    # the usual one, as recording does.
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM):
            function(*arguments)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):  # other threads may use the GPU
        results = function(*arguments)
    return _Recording(graph, arguments, results)


_WARM = 3
