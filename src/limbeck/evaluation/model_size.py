"""What a classifier costs to ship and to run: parameters, multiply-adds, size on disk, latency."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from limbeck.models.forward import device_of, evaluating
from limbeck.models.shared_memory import keeping_shared, own_memory

if TYPE_CHECKING:
    from limbeck.models import Classifier

LATENCY_BATCHES = (1, 256)
SECONDS_PER_BATCH_SIZE = 0.2
FEWEST_RUNS, MOST_RUNS = 3, 200


def footprint(
    classifier: "Classifier",
    shape: tuple[int, int, int],
    latency: bool = True,
    *,
    device: torch.device | str | None = None,
) -> dict[str, Any]:
    """Size and speed of a classifier on images of one shape.

    Args:
        classifier: any; its modes, weights and statistics stay as they are.
        shape: (C, H, W) of the images it will get, in pixels.
        latency: also time it; takes about half a second for a small network, at least eight forward passes for any.
        device: where it is measured, by default where the classifier is; afterwards the classifier is back there.

    Returns:
        {"parameters": count, "macs": see `multiply_adds`, "size_bytes": of the weights and of whitening as safetensors,
        "device": "cpu" or the name of the GPU that latency was measured on,
        "latency_ms": None or {"1": {"median", "p95", "n"}, "256": {...}}, milliseconds per batch of float32 images}.

    Example:
        >>> footprint(student, (1, 8, 8), latency=False)
        {'device': 'cpu', 'parameters': 1386, 'macs': 16208, 'size_bytes': 7560, 'latency_ms': None}
    """
    with evaluating(classifier), _moved(classifier, device):
        return {
            "device": _name(device_of(classifier)),
            "parameters": sum(parameter.numel() for parameter in classifier.parameters()),
            "macs": multiply_adds(classifier, shape),
            "size_bytes": size_on_disk(classifier.network) + _size_of_whitening(classifier),
            "latency_ms": {str(n): time_batch(classifier, shape, n) for n in LATENCY_BATCHES} if latency else None,
        }


@contextmanager
def _moved(classifier: nn.Module, device: torch.device | str | None) -> Iterator[None]:
    before = device_of(classifier)
    if device is None:
        yield
        return
    with keeping_shared(classifier):
        classifier.to(device)
    try:
        yield
    finally:
        with keeping_shared(classifier):
            classifier.to(before)


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def multiply_adds(classifier: nn.Module, shape: tuple[int, int, int]) -> int:
    """Multiply-adds of one image (batch 1): half the floating point operations that torch's counter sees.

    It counts convolutions and matrix products, attention among them, and leaves out what is elementwise
    (normalisation, activations, pooling), as the tables of this field do.
    """
    images = torch.zeros(1, *shape, device=device_of(classifier))
    counter = FlopCounterMode(display=False)
    # Not inference mode, in which the counter cannot look into composite operations.
    with evaluating(classifier), torch.no_grad(), _plain_attention(), counter:
        classifier(images)
    return counter.get_total_flops() // 2


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Attention as matrix products, which the counter knows; some fused kernels it does not."""
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)


def size_on_disk(network: nn.Module) -> int:
    """Bytes of the network's state dict as `limbeck.models.save` writes it; tensors that share memory count once."""
    state = {
        (tensor.data_ptr(), tensor.shape, tensor.stride()): (name, tensor)
        for name, tensor in network.state_dict().items()
    }
    return len(save(own_memory(dict(state.values())), metadata={"format": "pt"}))


def _size_of_whitening(classifier: "Classifier") -> int:
    return 0 if classifier.whitening is None else len(save(classifier.whitening.tensors()))


def time_batch(classifier: nn.Module, shape: tuple[int, int, int], batch: int) -> dict[str, float | int]:
    """Median and 95th percentile in milliseconds of `n` forward passes of one batch, after one that warms up."""
    images = torch.zeros(batch, *shape, device=device_of(classifier))
    seconds: list[float] = []
    with evaluating(classifier), torch.inference_mode():
        _seconds_of_pass(classifier, images)
        deadline = time.perf_counter() + SECONDS_PER_BATCH_SIZE
        while len(seconds) < FEWEST_RUNS or (len(seconds) < MOST_RUNS and time.perf_counter() < deadline):
            seconds.append(_seconds_of_pass(classifier, images))
    median, p95 = torch.tensor(seconds, dtype=torch.float64).quantile(torch.tensor([0.5, 0.95]).double()).tolist()
    return {"median": 1000 * median, "p95": 1000 * p95, "n": len(seconds)}


def _seconds_of_pass(classifier: nn.Module, images: Tensor) -> float:
    start = time.perf_counter()
    classifier(images)
    if images.is_cuda:
        torch.cuda.synchronize(images.device)
    return time.perf_counter() - start
