"""What a machine computes fastest in: precision and memory order, measured once and kept.

That a processor has a type says little. Instructions for bf16 may be missing (emulated, it is ten times slower than
float32), switched off by the environment, present under a flag that PyTorch does not tell, or no faster than float32
where casting eats what they save. So a small network is taught for some milliseconds in each way, on one thread and
by that thread's own clock, which other work on the machine hardly moves. Another way than the usual one is taken only
where it wins by a wide margin, so noise decides nothing; what was found is kept in the cache folder, as it shapes
rounding, and one machine should give one student.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable
from functools import cache
from itertools import product
from pathlib import Path
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from limbeck.caching import cache_folder
from limbeck.environment import processor_name
from limbeck.files import atomic_write_text
from limbeck.randomness import own_randomness

CLEARLY_FASTER = 1.2
"""How many times faster another way than the usual one must be to be taken."""

_TIMED = 5  # passes of each way, in turn; the fastest counts
_HOPELESS = 3  # times the fastest: emulated types are not timed again
_BATCH = 64
"""Images of a pass: of 16, whose activations stay in the cache, bf16 gains half as much as it does in training."""
_ISA_VARIABLES = ("ATEN_CPU_CAPABILITY", "DNNL_MAX_CPU_ISA", "ONEDNN_MAX_CPU_ISA", "DNNL_DEFAULT_FPMATH_MODE")

Precision = Literal["bf16", "fp32"]
PRECISIONS: tuple[Precision, ...] = ("bf16", "fp32")
Milliseconds = dict[tuple[Precision, bool], float]


class Fastest(NamedTuple):
    """What `auto` means on a device: a precision and, for each precision, whether channels-last memory pays."""

    precision: Precision
    channels_last: dict[Precision, bool]


def fastest_on(device: torch.device) -> Fastest:
    """What to compute in on `device`: measured where it is a CPU; on a GPU bf16 where it has it, channels-last."""
    if device.type == "cpu":
        return _measured(str(cache_folder()))
    has_bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return Fastest("bf16" if has_bf16 else "fp32", {"bf16": True, "fp32": True})


def choose(milliseconds: Milliseconds) -> Fastest:
    """The fastest way by the time that each (precision, channels-last) took; near ties keep float32, channels-last."""
    channels_last: dict[Precision, bool] = {
        precision: milliseconds[precision, True] < CLEARLY_FASTER * milliseconds[precision, False]
        for precision in PRECISIONS
    }
    bf16, fp32 = (milliseconds[precision, channels_last[precision]] for precision in PRECISIONS)
    return Fastest("bf16" if CLEARLY_FASTER * bf16 < fp32 else "fp32", channels_last)


@cache
def _measured(folder: str) -> Fastest:
    """What was kept for this processor, this torch and these settings of it in `folder`, else measured now."""
    about = {
        "name": f"{processor_name()}, {torch.backends.cpu.get_cpu_capability()}",
        "torch": torch.__version__,
        "settings": {name: os.environ[name] for name in _ISA_VARIABLES if name in os.environ},
        "batch": _BATCH,
    }
    key = hashlib.blake2b(json.dumps(about, sort_keys=True).encode(), digest_size=16).hexdigest()
    path = Path(folder) / "autotune" / f"{key}.json"
    try:
        return Fastest(**json.loads(path.read_text())["fastest"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not measured yet, or damaged
    milliseconds = measure()
    fastest = choose(milliseconds)
    named = {f"{one} {'channels-last' if last else 'contiguous'}": ms for (one, last), ms in milliseconds.items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_text(path, json.dumps({**about, "milliseconds": named, "fastest": fastest._asdict()}, indent=1))
    except OSError:
        pass  # a read-only or full cache costs only the next measurement
    return fastest


def measure() -> Milliseconds:
    """Milliseconds of one thread for forward and backward of a small convolutional network, in each way."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        # Whoever evaluates may have switched gradients off around it.
        with own_randomness(0, "autotune"), torch.inference_mode(False), torch.enable_grad():
            ways: list[tuple[Precision, bool]] = [*product(PRECISIONS, (True, False))]
            steps = {way: _step(*way) for way in ways}
            for step in steps.values():
                step()  # compiles kernels
            times: Milliseconds = dict.fromkeys(ways, float("inf"))
            for _ in range(_TIMED):
                hopeless = _HOPELESS * min(times.values())
                for way, step in steps.items():
                    if times[way] <= hopeless:
                        times[way] = min(times[way], _milliseconds(step))
            return times
    finally:
        torch.set_num_threads(before)


def _milliseconds(step: Callable[[], None]) -> float:
    """By the clock of this thread, which does not run while another program has the core."""
    start = time.thread_time()
    step()
    return 1000 * (time.thread_time() - start)


def _step(precision: Precision, channels_last: bool) -> Callable[[], None]:
    """Forward and backward of one batch of 32 x 32 pixels, as CIFAR's small ResNets compute it."""
    layers: list[nn.Module] = []
    for channels, wider, stride in ((3, 16, 1), (16, 32, 2), (32, 64, 2)):
        layers += [nn.Conv2d(channels, wider, 3, stride, 1, bias=False), nn.BatchNorm2d(wider), nn.ReLU()]
    order = torch.channels_last if channels_last else torch.contiguous_format
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)).to(memory_format=order)
    images = torch.rand(_BATCH, 3, 32, 32).contiguous(memory_format=order)
    labels = torch.zeros(_BATCH, dtype=torch.int64)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            logits = network(images)
        F.cross_entropy(logits.float(), labels).backward()

    return step
