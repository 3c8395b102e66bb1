"""The stream of batches: a step of ten million images, how flat its memory is, what reading ahead brings.

    python benchmarks/stream.py [--images 10_000_000] [--steps 2000] [--batch-size 128] [--seconds 0.05]

(a) The images are virtual: a storage makes the pixels of an image from its number. Per step: finding which views of
    which images it shows, and the whole batch, whose pixels are made, augmented and put in order; for ten thousand
    images and for so many as asked for. The same found by putting whole orders one after the other, as a reader would
    write it, stands beside it. Then steps of several passes, and how memory moves between them.
(b) JPEG files that are decoded on demand, as those of sets beyond `RESIDENT_BYTES` are, beside steps that compute for
    `--seconds` on one thread: steps per second with and without reading ahead, and what either alone allows.

Quote the ratios. On two cores that also ran a dozen other processes (one thread, batches of 128): what a step shows is
found in 0.009 ms of ten thousand images and of ten million alike (213 ms by whole orders), a whole batch takes 2.0 and
1.9 ms, memory stays at 1,391 MiB from the second pass on; reading ahead makes 1.1 to 1.3 times the steps.
"""

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor

from limbeck.data import EncodedStorage, ImageSet, Storage
from limbeck.data.encoded.decode import Target
from limbeck.data.encoded.images import FileImages
from limbeck.data.views import augmentation
from limbeck.randomness import generator
from limbeck.training import batches as batches_module
from limbeck.training.batches import BatchStream

CPU = torch.device("cpu")
FILES, SIDE = 2000, 96


class Virtual(Storage):
    """N images of 3 x 32 x 32 whose pixels are a function of their number."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.ramp = torch.arange(3 * 32 * 32).view(3, 32, 32)

    @property
    def shape(self) -> tuple[int, int, int]:
        return 3, 32, 32

    def __len__(self) -> int:
        return self.count

    def gather(self, positions: Tensor) -> Tensor:
        return (positions.view(-1, 1, 1, 1) * 2_654_435_761 + self.ramp).to(torch.uint8)

    def tensor(self) -> Tensor:
        return self.gather(torch.arange(self.count))

    def digests(self, positions: Tensor) -> Tensor:
        raise NotImplementedError


def main() -> None:
    options = parse()
    console = Console()
    with resident_bytes(0):
        many_images(console, options)
    encoded_images(console, options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000_000)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=0.05, help="that a step of (b) computes")
    return parser.parse_args()


@contextmanager
def resident_bytes(count: int) -> Iterator[None]:
    """Inside, sets above `count` bytes are read batch by batch."""
    before = batches_module.RESIDENT_BYTES
    batches_module.RESIDENT_BYTES = count
    try:
        yield
    finally:
        batches_module.RESIDENT_BYTES = before


def make_stream(images: ImageSet, batch_size: int) -> BatchStream:
    return BatchStream(images, augmentation=augmentation("pad-crop-flip"), batch_size=batch_size, seed=0, device=CPU)


def many_images(console: Console, options: argparse.Namespace) -> None:
    size = options.batch_size
    table = Table("images", "shown, ms", "whole batch, ms", "orders put together, ms", "order of a pass, s", box=None)
    for count in (10_000, options.images):
        stream = make_stream(ImageSet(Virtual(count), torch.arange(count) % 1000), size)
        began = time.perf_counter()
        stream.shown(0)
        order = time.perf_counter() - began
        # Every other step, as a step keeps what it found of the next one.
        shown = per_step(partial(every_other, stream.shown), options.steps)
        whole = per_step(stream.__getitem__, options.steps)
        joined = per_step(partial(every_other, partial(joined_orders, count, size)), min(options.steps, 50))
        table.add_row(f"{count:,}", *(f"{1000 * seconds:.3f}" for seconds in (shown, whole, joined)), f"{order:.2f}")
        stream.close()
    console.print(table)
    console.print("memory while steps of four passes are shown, MiB: " + memory_of_passes(options))


def every_other(make: Callable[[int], object], step: int) -> object:
    return make(2 * step)


def per_step(make: Callable[[int], object], steps: int) -> float:
    """Median seconds."""
    took = []
    for step in range(1, steps + 1):
        began = time.perf_counter()
        make(step)
        took.append(time.perf_counter() - began)
    return statistics.median(took)


_ORDERS: dict[tuple[int, int], Tensor] = {}


def joined_orders(count: int, size: int, step: int) -> Tensor:
    place = torch.arange(step * size, (step + 1) * size)
    first, last = int(place[0]) // count, int(place[-1]) // count
    for number in range(first, last + 1):
        if (count, number) not in _ORDERS:
            _ORDERS[count, number] = torch.randperm(count, generator=generator(0, "order", number))
    return torch.cat([_ORDERS[count, number] for number in range(first, last + 1)])[place - first * count]


def memory_of_passes(options: argparse.Namespace) -> str:
    """Resident memory after the first steps of each pass, and its peak."""
    _ORDERS.clear()
    stream = make_stream(ImageSet(Virtual(options.images)), options.batch_size)
    memory = []
    for number in range(4):
        first = number * options.images // options.batch_size
        for step in range(first, first + options.steps // 4):
            _ = stream[step]
        memory.append(resident())
    stream.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return ", ".join(f"{mebibytes:,.0f}" for mebibytes in memory) + f" (the most ever {peak:,.0f})"


def resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def encoded_images(console: Console, options: argparse.Namespace) -> None:
    """Steps per second; "decoding" and "computing" alone are the two limits of reading ahead."""
    with tempfile.TemporaryDirectory() as folder:
        images, size = jpeg_images(Path(folder)), 32
        table = Table("", "steps/s", box=None)
        with resident_bytes(0):
            stream = make_stream(images, size)
            work = worker(options.seconds)
            rates = {
                "decoding alone": rate(lambda step: decoded(images, stream, step)),
                "computing alone": rate(lambda _: work(None)),
                "decoding between steps": rate(lambda step: work(decoded(images, stream, step))),
                "reading ahead": rate(lambda step: work(stream[step].images)),
            }
            stream.close()
        for name, steps in rates.items():
            table.add_row(name, f"{steps:.2f}")
        console.print(table)
        console.print(f"reading ahead / between steps {rates['reading ahead'] / rates['decoding between steps']:.2f}")


def jpeg_images(folder: Path) -> ImageSet:
    random = np.random.default_rng(0)
    paths = [folder / f"{number}.jpg" for number in range(FILES)]
    for path in paths:
        coarse = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(path, quality=90)
    target = Target(channels=3, height=64, width=64, resize=True)
    return ImageSet(EncodedStorage(FileImages(paths), np.arange(FILES), target))


def decoded(images: ImageSet, stream: BatchStream, step: int) -> Tensor:
    return images.gather(stream.shown(step)[0])


def worker(seconds: float) -> Callable[[Tensor | None], None]:
    """Work that keeps a thread busy for so many seconds by multiplying matrices."""
    matrix = torch.rand(256, 256)

    def work(images: Tensor | None) -> None:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            torch.mm(matrix, matrix)

    return work


def rate(step_of: Callable[[int], object], steps: int = 60) -> float:
    """Steps per second after the first few; the median of three thirds."""
    rates = []
    for step in range(3):
        step_of(step)
    for third in range(3):
        began = time.perf_counter()
        for step in range(3 + third * steps // 3, 3 + (third + 1) * steps // 3):
            step_of(step)
        rates.append(steps / 3 / (time.perf_counter() - began))
    return statistics.median(rates)


if __name__ == "__main__":
    main()
