"""Procedural images per second, of every kind and variant.

    python benchmarks/procedural.py [--images 4096] [--size 32 64] [--channels 3] [--threads 2]

The median of `--rounds` renderings of `--images` images each (of larger ones so many fewer as they have more pixels),
after a first one that is not counted: images per second by the clock, and per second of one core's work, which is what
holds where other processes want the cores, too. One core renders at a time, whatever the number of threads.

On two cores that also ran a dozen other processes: of 3x32x32, 13,000 images per second of a core for noise, 7,400 for
dead leaves (9,700 flat), 6,100 for fractals (8,400 for one of them), 12,200 for shaders.
"""

import argparse
import statistics
import time

import torch
from rich.console import Console
from rich.table import Table

from limbeck.data.procedural.kinds import KINDS
from limbeck.data.procedural.storage import render


def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    sizes = [f"{options.channels}x{size}x{size}" for size in options.size]
    table = Table("images", *(heading for size in sizes for heading in (f"{size} /s", "/core s")), box=None)
    for kind, entry in KINDS.items():
        for variant in entry.variants:
            cells = [rate for size in options.size for rate in rates(kind, variant, options, size)]
            table.add_row(f"{kind}:{variant}", *(f"{rate:,.0f}" for rate in cells))
    Console().print(table)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=4096)
    parser.add_argument("--size", type=int, nargs="+", default=[32])
    parser.add_argument("--channels", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


def rates(kind: str, variant: str, options: argparse.Namespace, size: int) -> tuple[float, float]:
    """Images per second, and per second of a core."""
    count = max(1, options.images * 32 * 32 // size**2)
    shape, took, worked = (options.channels, size, size), [], []
    for number in range(options.rounds + 1):
        indices = torch.arange(number * count, (number + 1) * count)
        began, before = time.perf_counter(), time.process_time()
        render(kind, 0, indices, shape, variant=variant)
        took.append(time.perf_counter() - began)
        worked.append(time.process_time() - before)
    return count / statistics.median(took[1:]), count / statistics.median(worked[1:])


if __name__ == "__main__":
    main()
