"""What a GPU computes over and over, recorded once: launching hundreds of small kernels takes longer than they do."""

from collections.abc import Callable, Hashable
from typing import NamedTuple

import torch
from torch import Tensor


class Replayed:
    """A function of tensors on a GPU that is recorded as a CUDA graph, and later replayed with other values.

    A recording is made for each kind of arguments, by their shapes and types. What the function reads beside its
    arguments must stay where it is in memory; it must not draw random numbers or wait for the device.

    Args:
        function: of tensors without gradients; it may take gradients inside.

    Example:
        >>> square = Replayed(lambda x: (x * x,))
        >>> square(torch.ones(3, device="cuda"))  # doctest: +SKIP
        (tensor([1., 1., 1.], device='cuda:0'),)
    """

    def __init__(self, function: Callable[..., tuple[Tensor, ...]]) -> None:
        self._function = function
        self._recordings: dict[Hashable, _Recording] = {}

    def __call__(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """The function's results, which the next call overwrites."""
        kind = tuple((one.shape, one.dtype) for one in tensors)
        if kind not in self._recordings:
            self._recordings[kind] = _record(self._function, tensors)
        recording = self._recordings[kind]
        for place, one in zip(recording.arguments, tensors, strict=True):
            place.copy_(one)
        recording.graph.replay()
        return recording.results


class _Recording(NamedTuple):
    graph: torch.cuda.CUDAGraph
    arguments: tuple[Tensor, ...]
    results: tuple[Tensor, ...]


def _record(function: Callable[..., tuple[Tensor, ...]], tensors: tuple[Tensor, ...]) -> _Recording:
    arguments = tuple(one.detach().clone() for one in tensors)
    # Libraries choose kernels and take memory at their first calls, which no graph may hold; and by another stream than
    # the usual one, as recording does.
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(_WARM):
            function(*arguments)
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # other threads may go on using the GPU
        results = function(*arguments)
    return _Recording(graph, arguments, results)


_WARM = 3
