"""Procedural images per second, of every kind and variant.

    python benchmarks/procedural.py [--images 4096] [--size 32 64] [--channels 3] [--threads 2]

The median of `--rounds` renderings of `--images` images each, after a first one that is not counted.
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
    table = Table("images/s", *(f"{options.channels}x{size}x{size}" for size in options.size), box=None)
    for kind, about in KINDS.items():
        for variant in about.variants:
            rates = [rate(kind, variant, options, size) for size in options.size]
            table.add_row(f"{kind}:{variant}", *(f"{one:,.0f}" for one in rates))
    Console().print(table)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=4096)
    parser.add_argument("--size", type=int, nargs="+", default=[32])
    parser.add_argument("--channels", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


def rate(kind: str, variant: str, options: argparse.Namespace, size: int) -> float:
    count = max(1, options.images * 32 * 32 // size**2)
    shape, took = (options.channels, size, size), []
    for number in range(options.rounds + 1):
        indices = torch.arange(number * count, (number + 1) * count)
        began = time.perf_counter()
        render(kind, 0, indices, shape, variant=variant)
        took.append(time.perf_counter() - began)
    return count / statistics.median(took[1:])


if __name__ == "__main__":
    main()
