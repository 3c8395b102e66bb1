"""Images per second of scoring pools to borrow from, beside the teacher alone and the reference's loop; its memory.

    python benchmarks/borrow.py [--repeats 5] [--images 5000] [--precision auto|fp32] [--teacher cifar10-resnet56]
    python benchmarks/borrow.py --memory [--virtual 10000 1000000]

Everything is measured in one process, in turn, `--repeats` times over, each time in the other order; quote the ratios,
which are taken repeat by repeat, on a machine that does nothing else (the load is printed). `--processor-time` counts
the seconds that this process computes, with all of its threads.

(a) the bare teacher: its frozen copy on uint8 blocks that lie ready in memory, in the precision, memory order and size
    of blocks in which pools are scored on this machine;  (a') the same in the batches that other scoring asks it;
(b) `pool_table` of one pool: five scores, class and digest of every image, in a Parquet file of distinct pictures;
(b') the same with `compile: true`, after the first of its shards, before which the teacher is compiled;
(c) the same from images that lie in PNG files on disk;
(d) what the reference implementation does, written anew: the teacher in float32 on batches of 64 that lie ready as
    normalised floats, then image by image in Python the softmax, the two largest, the class as a Python number and the
    distance of the two rows of weights, a comparison with the class's threshold, and a copy of an image that passes.

`--memory` scores so many virtual images, which are computed from their index, by a small network, each number of them
in a process of its own, and prints the most memory that each had.

Source of (d): https://github.com/shauryat97/SampleSelectionBasedKnowledgeDistillation (transfer.py).
"""

import argparse
import io
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor

from limbeck.data import ImageSet, load
from limbeck.data.storage import Storage, image_digests
from limbeck.models import Classifier, create
from limbeck.models import load as load_model
from limbeck.models.published import NAMED
from limbeck.progress import Progress, Silent
from limbeck.transfer.borrow.pool_table import BLOCK, pool_table
from limbeck.transfer.borrow.pools import Pool
from limbeck.transfer.borrow.settings import PoolSettings
from limbeck.transfer.scoring.context import head_weights, make_context
from limbeck.transfer.scoring.features import batch_size_for

BARE, COMPILED, BATCH = "(a) bare teacher", "(b') pool table, compiled teacher", 64


def main() -> None:
    options = parse()
    if options.scored is not None:
        score_virtual(options.scored)
    elif options.memory:
        compare_memory(options.virtual)
    else:
        measure(options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--data", help="named data set of which the first training images are taken; else noise")
    parser.add_argument("--teacher", default="cifar10-resnet56", help="published weights or a network of the zoo")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--processor-time", action="store_true", help="by the processor's clock, on a busy machine")
    parser.add_argument("--memory", action="store_true", help="measure memory in place of speed")
    parser.add_argument("--virtual", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--scored", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def measure(options: argparse.Namespace) -> None:
    console = Console()
    teacher = (
        load_model(options.teacher) if options.teacher in NAMED else create(options.teacher, num_classes=10)
    ).eval()
    images = images_of(options)
    clock = time.process_time if options.processor_time else time.perf_counter
    precision = make_context(teacher, None, 0, precision=options.precision).precision
    with tempfile.TemporaryDirectory() as folder:
        encoded = as_files(images, Path(folder))
        cases: dict[str, Callable[[], object]] = {
            BARE: bare(teacher, images, options.precision, BLOCK),
            "(a') in larger batches": bare(teacher, images, options.precision, batch_size_for(images)),
            "(b) pool table": lambda: table_of(images, teacher, options.precision),
            "(c) pool table, PNG files": lambda: table_of(encoded, teacher, options.precision),
            "(d) the reference's loop": reference(teacher, images),
        }
        for case in cases.values():
            case()
        repeats = []
        for repeat in range(options.repeats):
            order = list(cases) if repeat % 2 == 0 else list(cases)[::-1]
            repeats.append({key: len(images) / seconds(cases[key], clock) for key in order})
            repeats[-1][COMPILED], start_up = compiled(teacher, images, options.precision, clock)
            console.print(
                f"repeat {repeat + 1}, load {os.getloadavg()[0]:.1f}, compiled and a shard scored in {start_up:.1f} s"
            )
    their_loop = list(cases)[-1]
    shown = Table("", "images/s", "ratio to (a)", "of the repeats", "ratio to (d)", "of the repeats")
    for key in [*cases, COMPILED]:
        cells = [f"{statistics.median(rates[key] for rates in repeats):,.0f}"]
        for base in (BARE, their_loop):
            ratios = sorted(rates[key] / rates[base] for rates in repeats)
            cells += [f"{statistics.median(ratios):.2f}", f"{ratios[0]:.2f} to {ratios[-1]:.2f}"]
        shown.add_row(key, *cells)
    threads = torch.get_num_threads()
    console.print(f"{options.teacher}: {len(images):,} images, {precision}, {threads} threads, (d) in fp32")
    console.print(shown)


def images_of(options: argparse.Namespace) -> ImageSet:
    """Distinct images, held in memory."""
    if options.data is None:
        pixels = torch.randint(0, 256, (options.images, 3, 32, 32), dtype=torch.uint8)
        return ImageSet(pixels, torch.arange(options.images) % 10, classes=[str(label) for label in range(10)])
    images = load(options.data)
    images = images.subset(images.ids[: options.images])
    return ImageSet(images.tensor(), images.labels, ids=images.ids, classes=images.classes, name=images.name)


def as_files(images: ImageSet, folder: Path) -> ImageSet:
    """The same images in PNG files, decoded when they are asked for."""
    for number, pixels in enumerate(images.tensor().permute(0, 2, 3, 1).numpy()):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "png", compress_level=1)
        (folder / f"{number:06d}.png").write_bytes(buffer.getvalue())
    return load(folder, in_memory=False)


def bare(teacher: Classifier, images: ImageSet, precision: str, size: int) -> Callable[[], object]:
    context = make_context(teacher, None, 0, precision=precision)
    frozen = context.frozen
    order = torch.channels_last if context.channels_last else torch.contiguous_format
    batches = [part.to(frozen.device, memory_format=order) for part in images.tensor().split(size)]

    def run() -> None:
        logits = [frozen(part).logits for part in batches]
        logits[-1].sum().item()  # waits for a GPU

    return run


def table_of(
    images: ImageSet, teacher: Classifier, precision: Any, progress: Progress | None = None, *, compile: bool = False
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pools = [pool_of("pool", images)]
        pool_table(pools, teacher, Path(folder), precision=precision, compile=compile, progress=progress)


class FirstShard(Silent):
    """Notes when the first shard of a scoring is done.

    Attributes:
        shards: how many the scoring has.
        at: when the first of them was done, by the clock.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.shards = 0
        self.at = 0.0

    def begin(self, title: str, total: int, done: int = 0) -> None:
        self.shards = total

    def update(self, done: int, note: str = "") -> None:
        self.at = self.at or self.clock()


def compiled(teacher: Classifier, images: ImageSet, precision: Any, clock: Callable[[], float]) -> tuple[float, float]:
    """Images per second of a compiled teacher's pool table after its first shard, and seconds until that is done."""
    began, watch = clock(), FirstShard(clock)
    table_of(images, teacher, precision, watch, compile=True)
    remaining = len(images) - -(-len(images) // watch.shards)
    return remaining / (clock() - watch.at), watch.at - began


def pool_of(name: str, images: ImageSet) -> Pool:
    return Pool(name, PoolSettings(name=name), images)


def reference(teacher: Classifier, images: ImageSet) -> Callable[[], object]:
    """Buckets filled first come first served by minimal margins above a threshold, one image at a time."""
    network, weights = teacher.network, head_weights(teacher)
    batches = [teacher.prepare(part) for part in images.tensor().split(BATCH)]
    classes = range(teacher.num_classes)
    size = len(images) // teacher.num_classes

    @torch.no_grad()
    def run() -> None:
        filled, thresholds, chosen = dict.fromkeys(classes, 0), dict.fromkeys(classes, 0.5), []
        for batch in batches:
            outputs = network(batch)
            for row, logits in enumerate(outputs):
                logits.softmax(0)
                largest, places = logits.topk(2)
                label = places[0].item()
                first, second = weights.index_select(0, places[0]), weights.index_select(0, places[1])
                margin = (largest[0] - largest[1]) / (first - second).norm(dim=-1)
                if filled[int(label)] < size and margin >= thresholds[int(label)]:
                    filled[int(label)] += 1
                    chosen.append(batch[row].cpu().numpy())

    return run


def seconds(work: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    work()
    return clock() - start


class VirtualStorage(Storage):
    """N images that are computed from their index."""

    def __init__(self, count: int, side: int = 32) -> None:
        self._count, self._side = count, side
        self._ramp = torch.arange(3 * side * side, dtype=torch.int32) * 40_503

    @property
    def shape(self) -> tuple[int, int, int]:
        return 3, self._side, self._side

    def __len__(self) -> int:
        return self._count

    def gather(self, positions: Tensor) -> Tensor:
        mixed = (positions.to(torch.int32) * 1_640_531_527)[:, None] ^ self._ramp  # [B, C H W]
        return (mixed.mul_(668_265_263) >> 16).to(torch.uint8).view(-1, *self.shape)

    def tensor(self) -> Tensor:
        return self.gather(torch.arange(self._count))

    def digests(self, positions: Tensor) -> Tensor:
        return image_digests(self.gather(positions))


def score_virtual(count: int) -> None:
    """Prints the most memory that this process had before and after, in bytes, and the rows of the table."""
    torch.set_num_threads(1)
    teacher = create("convnet_d3", num_classes=10, channels=3, input_size=32, width=8).eval()
    with tempfile.TemporaryDirectory() as folder:
        pool_table([pool_of("few", ImageSet(VirtualStorage(1000)))], teacher, Path(folder), precision="fp32")
    before = peak()
    images = ImageSet(VirtualStorage(count), name="virtual")
    held = peak()
    with tempfile.TemporaryDirectory() as folder:
        scored = pool_table([pool_of("many", images)], teacher, Path(folder), precision="fp32")
        print(before, held, peak(), len(scored.table))


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def compare_memory(counts: list[int]) -> None:
    console = Console()
    shown = Table("virtual images", "seconds", "MB after 1,000", "MB with the set", "MB at most", "rows", "load")
    peaks = []
    for count in counts:
        began = time.perf_counter()
        process = subprocess.run(
            [sys.executable, __file__, "--scored", str(count)], check=True, capture_output=True, text=True
        )
        before, held, after, rows = map(int, process.stdout.split())
        peaks.append(after)
        megabytes = [f"{size / 1e6:,.0f}" for size in (before, held, after)]
        took = f"{time.perf_counter() - began:.0f}"
        shown.add_row(f"{count:,}", took, *megabytes, f"{rows:,}", f"{os.getloadavg()[0]:.1f}")
    console.print(shown)
    for count, after in zip(counts[1:], peaks[1:], strict=True):
        grown = after - peaks[0]
        per_image = grown / (count - counts[0])
        console.print(f"from {counts[0]:,} to {count:,}: {grown / 1e6:+,.1f} MB, {per_image:.0f} bytes an image")


if __name__ == "__main__":
    main()
