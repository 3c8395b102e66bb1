"""What a machine computes fastest in, precision and memory order: measured once and cached.

Support for a data type does not mean that it is fast. Instructions for bf16 may be missing (emulated, it is ten times
slower than float32), switched off by the environment, present under a flag that PyTorch does not report, or no faster
than float32 because casting costs what they save. What one network gains another loses: one processor trains ResNets
nearly twice as fast in bf16, and a MobileNetV2 half as fast.

So the student itself is trained for some milliseconds in each mode before it learns, except in a type that a small
network shows to be emulated. All networks that are only evaluated go by a small network with layers of a ResNet. Time
is that of one thread's own clock, which other work on the machine hardly affects. A mode other than the default is
chosen only where it wins by a wide margin, so that noise decides nothing. The result is kept in the cache folder, as
it affects rounding, and one machine should always give the same student.
"""

import copy
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from filelock import FileLock
from torch import Tensor, nn

from limbeck.caching import cache_folder
from limbeck.environment import processor_name
from limbeck.errors import UserError
from limbeck.files import atomic_write_text
from limbeck.memory import keep_freed_memory
from limbeck.randomness import own_randomness

CLEARLY_FASTER = 1.2
"""How many times faster than the default a mode must be to be chosen."""

_REPEATS = 5  # passes in each mode, in turn; the fastest counts
_BUDGET_MS = 2000  # milliseconds of all passes, after which a large network is not timed again
_SKIP_FACTOR = 3  # times the fastest: slower modes, as emulated types, are not timed again
_OVERHEAD = 3  # milliseconds of a pass, up to which the number of layers matters more than their arithmetic
_PIXELS = 64 * 32 * 32  # of a pass; with a quarter, activations stay in the cache, and bf16 gains half as much
_MAX_BATCH = 64  # images of a pass, at most
_ISA_VARIABLES = ("ATEN_CPU_CAPABILITY", "DNNL_MAX_CPU_ISA", "ONEDNN_MAX_CPU_ISA", "DNNL_DEFAULT_FPMATH_MODE")

Precision = Literal["bf16", "fp32"]
PRECISIONS: tuple[Precision, ...] = ("bf16", "fp32")
ComputeMode = tuple[Precision, bool]  # and whether channels-last
Milliseconds = dict[ComputeMode, float]


class Fastest(NamedTuple):
    """What `auto` means on a device: a precision and, for each precision, whether channels-last memory pays."""

    precision: Precision
    channels_last: dict[Precision, bool]


def fastest_on(device: torch.device) -> Fastest:
    """What `device` computes fastest in: measured on a CPU; on a GPU bf16 where supported, and channels-last."""
    if device.type == "cpu":
        return _decide("layers of a ResNet", measure)
    has_bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return Fastest("bf16" if has_bf16 else "fp32", {"bf16": True, "fp32": True})


def fastest_for(network: nn.Module, shape: tuple[int, int, int], device: torch.device) -> Fastest:
    """As `fastest_on`, measured by training this very network.

    Args:
        network: maps images in [0, 1] to an output with `logits`; a copy of it is trained.
        shape: (channels, height, width) of the images.
        device: where it will be trained.
    """
    if device.type != "cpu":
        return fastest_on(device)
    parameters = [(name, tuple(parameter.shape)) for name, parameter in network.named_parameters()]
    try:
        return _decide(f"{network!r}, {parameters}, {shape}", lambda: measure(network, shape))
    except Exception:  # a foreign network may raise anything on noise, which is not the place to report it
        return fastest_on(device)


def fastest_mode(milliseconds: Milliseconds) -> Fastest:
    """The fastest mode by the time that each (precision, channels-last) took; near ties keep float32, channels-last."""
    channels_last: dict[Precision, bool] = {
        precision: milliseconds[precision, True] < CLEARLY_FASTER * milliseconds[precision, False]
        for precision in PRECISIONS
    }
    bf16, fp32 = (milliseconds[precision, channels_last[precision]] for precision in PRECISIONS)
    pays = CLEARLY_FASTER * bf16 < fp32 and fp32 > _OVERHEAD
    return Fastest("bf16" if pays else "fp32", channels_last)


_decided: dict[Path, Fastest] = {}
"""By file, what this process uses until it ends, even if the file is deleted: measured again, near ties may be decided
otherwise. In another cache folder the file there counts, as for every process that shares it."""
_found: dict[str, dict[str, Any]] = {}
"""By key, what this process used last. A cache folder without a result gets that, instead of a new measurement."""


_measures = ContextVar("measures", default=True)
_UNMEASURED = Fastest("fp32", {"bf16": False, "fp32": False})


@contextmanager
def unmeasured() -> Iterator[None]:
    """Inside, nothing is measured or written, and what is not cached is float32: for callers that only inspect."""
    before = _measures.set(False)
    try:
        yield
    finally:
        _measures.reset(before)


def _decide(what: str, measure_now: Callable[[], Milliseconds]) -> Fastest:
    """The cached result for `what` on this processor, with this torch and its settings; else measured now."""
    description = {
        "name": f"{processor_name()}, {torch.backends.cpu.get_cpu_capability()}",
        "torch": torch.__version__,
        "settings": {name: os.environ[name] for name in _ISA_VARIABLES if name in os.environ},
        "network": hashlib.blake2b(what.encode(), digest_size=16).hexdigest(),
        "pixels": _PIXELS,
    }
    key = hashlib.blake2b(json.dumps(description, sort_keys=True).encode(), digest_size=16).hexdigest()
    path = cache_folder() / "autotune" / f"{key}.json"
    if path not in _decided and not _measures.get():
        stored = _read(path)
        return _UNMEASURED if stored is None else Fastest(**stored["fastest"])
    if path not in _decided:
        with _one_at_a_time(path):
            stored = _read(path)
            if stored is None:
                stored = _found.get(key) or _record(description, measure_now())
                with suppress(OSError, UserError):  # a read-only or full cache costs only the next measurement
                    atomic_write_text(path, json.dumps(stored, indent=1))
            _found[key] = stored
            _decided[path] = Fastest(**stored["fastest"])
    return _decided[path]


def _one_at_a_time(path: Path) -> AbstractContextManager[object]:
    """Lets processes that start together share one measurement, where the folder is writable."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        return nullcontext()
    return FileLock(path.with_name(f".{path.stem}.lock")) if os.access(path.parent, os.W_OK) else nullcontext()


def _read(path: Path) -> dict[str, Any] | None:
    try:
        stored = json.loads(path.read_text())
        Fastest(**stored["fastest"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not measured yet, or damaged
    return stored


def _record(description: dict[str, Any], milliseconds: Milliseconds) -> dict[str, Any]:
    by_mode = {
        f"{precision} {'channels-last' if last else 'contiguous'}": ms for (precision, last), ms in milliseconds.items()
    }
    measured = {mode: ms for mode, ms in by_mode.items() if ms < float("inf")}
    return {**description, "milliseconds": measured, "fastest": fastest_mode(milliseconds)._asdict()}


def measure(network: nn.Module | None = None, shape: tuple[int, int, int] = (3, 32, 32)) -> Milliseconds:
    """Milliseconds of a forward and backward pass of copies of a network on one thread, in each mode.

    Infinite in a precision in which a small network takes several times as long as in the other, as where instructions
    are missing: timing a large network in it would waste a minute or more.

    Args:
        network: see `fastest_for`; None for a small one.
        shape: of the images.
    """
    keep_freed_memory()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        # The caller may be evaluating, with gradients switched off.
        with own_randomness(0, "autotune"), torch.inference_mode(False), torch.enable_grad():
            small_times = dict.fromkeys(PRECISIONS, 0.0) if network is None else _small_network_times()
            precisions: list[Precision] = [
                precision
                for precision in PRECISIONS
                if small_times[precision] <= _SKIP_FACTOR * min(small_times.values())
            ]
            modes: list[ComputeMode] = [*product(precisions, (True, False))]
            copies = {last: _copy(_layers() if network is None else network, last) for last in (True, False)}
            steps: dict[ComputeMode, Callable[[], None]] = {
                mode: _step(copies[mode[1]], shape, *mode) for mode in modes
            }
            for step in steps.values():
                step()  # compiles kernels
            times: Milliseconds = {mode: float("inf") for mode in product(PRECISIONS, (True, False))}
            total = 0.0
            for _ in range(_REPEATS):
                limit = _SKIP_FACTOR * min(times.values())
                for mode, step in steps.items():
                    if times[mode] <= limit:
                        elapsed = _milliseconds(step)
                        times[mode], total = min(times[mode], elapsed), total + elapsed
                if total > _BUDGET_MS:
                    break
            return times
    finally:
        torch.set_num_threads(before)


@cache
def _small_network_times() -> dict[Precision, float]:
    """Milliseconds of the small network in each precision, on few images, channels-last; the fastest of three."""
    times: dict[Precision, float] = {}
    for precision in PRECISIONS:
        step = _step(_copy(_layers(), True), (3, 8, 8), precision, True)
        step()  # compiles kernels
        times[precision] = min(_milliseconds(step) for _ in range(3))
    return times


def _milliseconds(step: Callable[[], None]) -> float:
    """By the clock of this thread, which does not run while another program has the core."""
    start = time.thread_time()
    step()
    return 1000 * (time.thread_time() - start)


def _layers() -> nn.Module:
    """A few layers, as in CIFAR's small ResNets."""
    layers: list[nn.Module] = []
    for channels, wider, stride in ((3, 16, 1), (16, 32, 2), (32, 64, 2)):
        layers += [nn.Conv2d(channels, wider, 3, stride, 1, bias=False), nn.BatchNorm2d(wider), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def _copy(network: nn.Module, channels_last: bool) -> nn.Module:
    order = torch.channels_last if channels_last else torch.contiguous_format
    return copy.deepcopy(network).cpu().to(memory_format=order).train()


def _step(
    network: nn.Module, shape: tuple[int, int, int], precision: Precision, channels_last: bool
) -> Callable[[], None]:
    """Forward and backward of one batch."""
    size = max(2, min(_MAX_BATCH, _PIXELS // (shape[1] * shape[2])))
    order = torch.channels_last if channels_last else torch.contiguous_format
    images = torch.rand(size, *shape).contiguous(memory_format=order)
    labels = torch.zeros(size, dtype=torch.int64)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            outputs = network(images)
        logits: Tensor = getattr(outputs, "logits", outputs)
        F.cross_entropy(logits.float(), labels).backward()

    return step
