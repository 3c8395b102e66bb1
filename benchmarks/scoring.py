"""Images per second of scoring by a teacher, beside the teacher alone.

    python benchmarks/scoring.py [--rounds 5] [--images 5000] [--data cifar10] [--teachers cifar10-resnet20 ...]

Everything is measured in one process, in turn, `--rounds` times over; quote the ratios to (a), which are taken round by
round, on a machine that does nothing else. On a busy one `--processor-time` counts the seconds that this process
computes, with all of its threads, which leaves out waiting for disks.

(a) the bare teacher: its frozen copy on uint8 batches that lie ready in memory, in the precision, memory order and
    batch size in which scoring asks it on this machine;
(b) `predict` in that precision;  (c) `predict` in float32, the reference of evaluation;
(d) `select` by margin, from the images to the chosen ids;
(e) `score_table` of margins, from the images to the Parquet file.

Teachers are names of published weights or of the zoo's networks, then with random weights; images are random unless
`--data` names a data set.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table

from limbeck.data import ImageSet, load
from limbeck.evaluation import predict
from limbeck.models import Classifier, create
from limbeck.models import load as load_model
from limbeck.models.published import NAMED
from limbeck.transfer.scoring.context import ScoringContext, make_context
from limbeck.transfer.scoring.features import batch_size_for
from limbeck.transfer.select import score_table, select

BARE = "(a) bare teacher"


def main() -> None:
    options = parse()
    console = Console()
    images = images_of(options)
    for name in options.teachers:
        teacher = load_model(name) if name in NAMED else create(name, num_classes=10)
        clock = time.process_time if options.processor_time else time.perf_counter
        measure(name, teacher.eval(), images, options.rounds, clock, console)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--data", help="named data set of which the first test images are taken")
    parser.add_argument("--processor-time", action="store_true", help="by the processor's clock, on a busy machine")
    parser.add_argument("--teachers", nargs="+", default=["resnet20", "resnet56"])
    return parser.parse_args()


def images_of(options: argparse.Namespace) -> ImageSet:
    """Images in memory, so that nothing but scoring is measured."""
    if options.data is None:
        pixels = torch.randint(0, 256, (options.images, 3, 32, 32), dtype=torch.uint8)
        return ImageSet(pixels, torch.arange(options.images) % 10, classes=[str(label) for label in range(10)])
    images = load(options.data, "test")
    images = images.subset(images.ids[: options.images])
    return ImageSet(images.tensor(), images.labels, ids=images.ids, classes=images.classes, name=images.name)


def measure(
    name: str, teacher: Classifier, images: ImageSet, rounds: int, clock: Callable[[], float], console: Console
) -> None:
    context = make_context(teacher, None, 0)
    cases: dict[str, Callable[[], object]] = {
        BARE: bare(context, images),
        f"(b) predict, {context.precision}": lambda: predict(teacher, images, precision="auto"),
        "(c) predict, fp32": lambda: predict(teacher, images),
        "(d) select by margin": lambda: select(images, criterion="margin", budget=len(images) // 10, teacher=teacher),
        "(e) score table": lambda: table_of(images, teacher),
    }
    for case in cases.values():
        case()
    rates = [{key: len(images) / seconds(case, clock) for key, case in cases.items()} for _ in range(rounds)]
    shown = Table("", "images/s", "ratio to (a)", "of the rounds")
    for key in cases:
        ratios = sorted(measured[key] / measured[BARE] for measured in rates)
        rate = statistics.median(measured[key] for measured in rates)
        shown.add_row(key, f"{rate:,.0f}", f"{statistics.median(ratios):.2f}", f"{ratios[0]:.2f} to {ratios[-1]:.2f}")
    conditions = f"{context.frozen.device}, {context.precision}, batches of {batch_size_for(images)}"
    console.print(f"{name}: {len(images):,} images of {images.name}; {conditions}")
    console.print(shown)


def bare(context: ScoringContext, images: ImageSet) -> Callable[[], object]:
    teacher = context.frozen
    order = torch.channels_last if context.channels_last else torch.contiguous_format
    batches = [part.to(teacher.device, memory_format=order) for part in images.tensor().split(batch_size_for(images))]

    def run() -> None:
        logits = [teacher(part).logits for part in batches]
        logits[-1].sum().item()  # waits for a GPU

    return run


def table_of(images: ImageSet, teacher: Classifier) -> None:
    with tempfile.TemporaryDirectory() as folder:
        score_table(images, f"{folder}/scores.parquet", criteria=["margin"], teacher=teacher)


def seconds(work: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    work()
    return clock() - start


if __name__ == "__main__":
    main()
