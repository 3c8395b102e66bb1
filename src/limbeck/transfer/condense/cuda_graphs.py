"""Recorded CUDA graphs, replayed: launching hundreds of small kernels takes longer than they run."""

from collections.abc import Callable, Hashable
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

Function = Callable[..., tuple[Tensor, ...]]


class Replayed:
    """Functions of tensors on a GPU that are recorded as CUDA graphs, and later replayed with other values.

    A function is recorded once for each combination of its arguments' shapes and dtypes. Whatever else it reads must
    keep its place in memory; it must not draw random numbers or wait for the device. All recordings share one memory
    pool, as no two run at once.
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
    # Warm-up: at first calls libraries choose kernels and allocate memory, which a graph must not record. It runs on a
    # side stream, as recording does.
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
