"""What training gains where glibc keeps the memory that a step frees, in one run.

    python benchmarks/allocation.py [--repeats 5] [--threads 1]

Each time is measured in a process of its own, since a process keeps the setting once it is made; runs with and without
it take turns, in the other order each time. Seconds are processor time, the system's part included, which is where
pages are filled with zeros; training steps are plain ones on random images, an iteration of trajectory matching has 20
exact steps. Memory is the peak that the process held.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.table import Table

OWN = "MALLOC_ARENA_TEST"
"""A variable of glibc that changes nothing here, but makes limbeck leave the allocator alone."""


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", help="one of the tasks, in this process; prints seconds and MiB as JSON")
    options = parser.parse_args()
    if options.only:
        print(json.dumps(timed(options.only, options.threads)))
        return
    table = Table(title=f"Seconds of processor time, {options.threads} threads, medians of {options.repeats}")
    for heading in ("", "given back", "kept", "ratio (least to most)", "MiB given back", "MiB kept"):
        table.add_column(heading, justify="left" if not heading else "right")
    for task in TASKS:
        pairs = [both(task, options.threads, kept_first=bool(number % 2)) for number in range(options.repeats)]
        ratios = sorted(back[0] / kept[0] for back, kept in pairs)
        back, kept = ([statistics.median(pair[side][part] for pair in pairs) for part in (0, 1)] for side in (0, 1))
        ratio = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        table.add_row(task, f"{back[0]:.2f}", f"{kept[0]:.2f}", ratio, f"{back[1]:.0f}", f"{kept[1]:.0f}")
    Console(width=140).print(table)


def both(task: str, threads: int, *, kept_first: bool) -> tuple[tuple[float, float], tuple[float, float]]:
    """(seconds, MiB) where freed memory is given back, and where it is kept."""
    order = (True, False) if kept_first else (False, True)
    measured = {kept: in_process(task, threads, kept=kept) for kept in order}
    return measured[False], measured[True]


def in_process(task: str, threads: int, *, kept: bool) -> tuple[float, float]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    if not kept:
        environment[OWN] = "8"
    command = [sys.executable, __file__, "--only", task, "--threads", str(threads)]
    process = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    seconds, memory = json.loads(process.stdout)
    return seconds, memory


def timed(task: str, threads: int) -> tuple[float, float]:
    """Seconds of a task after a first step that is not counted, and the peak memory of the process in MiB."""
    import torch

    from limbeck.memory import keep_freed_memory, most_memory

    torch.set_num_threads(threads)
    keep_freed_memory()
    step, times = TASKS[task]()
    step()
    began = time.process_time()
    for _ in range(times):
        step()
    return time.process_time() - began, most_memory() / 2**20


def training(model: str, size: int, **options: Any) -> Callable[[], tuple[Callable[[], None], int]]:
    def prepare() -> tuple[Callable[[], None], int]:
        import torch
        from torch.nn.functional import cross_entropy

        from limbeck.models import create

        torch.manual_seed(0)
        student = create(model, num_classes=10, input_size=size, **options).train()
        optimizer = torch.optim.SGD(student.parameters(), 0.01, momentum=0.9)
        images, labels = torch.randn(64, 3, size, size), torch.randint(10, (64,))

        def step() -> None:
            optimizer.zero_grad()
            cross_entropy(student(images).logits, labels).backward()
            optimizer.step()

        return step, 15

    return prepare


def matching(per_class: int) -> Callable[[], tuple[Callable[[], None], int]]:
    def prepare() -> tuple[Callable[[], None], int]:
        import torch

        from limbeck.models import create
        from limbeck.transfer.condense.flat_network import FlatNetwork
        from limbeck.transfer.condense.matching import Step, matching_gradients

        torch.manual_seed(0)
        network = FlatNetwork(create("convnet_d3", num_classes=10, input_size=32, width=32))
        start, count = network.vector(network.classifier), 10 * per_class
        images, labels, rate = torch.randn(count, 3, 32, 32), torch.randn(count, 10), torch.tensor(0.01)
        steps = [Step(torch.arange(count))] * 20

        def step() -> None:
            matching_gradients(network, start, 0.9 * start, images, labels, rate, steps=steps)

        return step, max(1, 10 // per_class)

    return prepare


TASKS = {
    "ConvNet-3 of width 32, 32 px": training("convnet_d3", 32, width=32),
    "ConvNet-3 of width 128, 32 px": training("convnet_d3", 32, width=128),
    "ConvNet-4 of width 32, 64 px": training("convnet_d4", 64, width=32),
    "ResNet-20, 32 px": training("resnet20", 32),
    "MobileNetV2, 32 px": training("MobileNetV2", 32),
    "matching, 1 image a class": matching(1),
    "matching, 10 images a class": matching(10),
}

if __name__ == "__main__":
    main()
