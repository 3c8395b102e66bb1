"""Images per second of views, of distilling, of the usual way to write it, and of the limit the networks set.

    python benchmarks/throughput.py [--rounds 3] [--steps 40] [--batch-size 128] [--compile] [--data cifar10]
        [--only e d] [--cpu-time]

Everything is measured in one process, in turn, `--rounds` times over; quote the ratios, which are taken round by round.

(a) views alone: uint8 CIFAR-sized images in memory to augmented batches (pad 4, crop, flip);
(b) limbeck distilling ResNet-56 -> ResNet-20 and asking the teacher, from the loop's own metrics, first steps left out;
(f) the same with a view cache that is empty, and so asks the teacher and writes;
(e) the same steps again with the view cache that they filled; about the 1st, 2nd, 4th, 8th ... step, a run compares 32
    outputs that it found with the teacher, which a short measurement shows and a long run does not (`--steps 200`);
(c) the same the usual way: PIL transforms in a DataLoader with two workers, float32, NCHW, teacher asked every step;
(d) the bare student's forward and backward and the bare teacher's forward on one batch in memory, in the precision and
    memory order that (b) uses on this machine, the teacher's weights cast once. 1 / (1/student + 1/teacher) is the
    limit of (b).

Pixels are random unless `--data` names images: neither convolutions nor crops care. The networks are the zoo's, with
random weights. Where others use the machine, `--cpu-time` counts the process's own seconds of processor; give it one
thread (`OMP_NUM_THREADS=1`), and do not measure (c) so, whose workers are other processes.
"""

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
import torch.nn.functional as F
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from limbeck.data import ImageSet, load
from limbeck.data.views import augmentation
from limbeck.models import Classifier, create
from limbeck.objectives import weighted_sum
from limbeck.precision import autocast, resolve_channels_last, resolve_precision
from limbeck.training import FrozenTeacher, RunFolder, TrainingSettings, fit
from limbeck.training.batches import BatchStream
from limbeck.training.view_cache.settings import CacheSettings

IMAGES = 10_000
WARM_UP = 5
OBJECTIVE = {"cross_entropy": 0.1, "kd": 0.9}
CPU = torch.device("cpu")
ORDERS = {True: torch.channels_last, False: torch.contiguous_format}


def main() -> None:
    options = parse()
    images = random_images() if options.data is None else load(options.data)
    teacher, student = settled(create("resnet56", num_classes=10), images), create("resnet20", num_classes=10)
    measures: dict[str, Callable[[], float]] = {
        "(a) views alone": lambda: views_alone(images, options.batch_size),
        "(b) limbeck distilling": lambda: limbeck_distilling(images, teacher, options, cache=False),
        "(f) limbeck, cold cache": lambda: cold_distilling(images, teacher, options),
        "(e) limbeck, warm cache": lambda: limbeck_distilling(images, teacher, options, cache=True),
        "(c) the usual way": lambda: usual_distilling(images, teacher, options),
        "(d) bare student": lambda: bare_student(student, options),
        "(d) bare teacher": lambda: bare_teacher(teacher, options),
    }
    measures = {name: measure for name, measure in measures.items() if name[1] in options.only}
    rounds = []
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LIMBECK_CACHE"] = f"{folder}/cache"
        if "f" not in options.only and "e" in options.only:
            cold_distilling(images, teacher, options)
        for number in range(options.rounds):
            rounds.append({name: measure() for name, measure in measures.items()})
            rates = ", ".join(f"{name} {rate:,.0f}/s" for name, rate in rounds[-1].items())
            console.print(f"round {number + 1}: {rates}")
    show(console, rounds, options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=40, help="timed steps of (b), (c) and (d)")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--compile", action="store_true", help="torch.compile in (b) and (d)")
    parser.add_argument("--data", help="name, folder or file of images in place of random ones")
    parser.add_argument("--only", nargs="+", choices=list("abcdef"), default=list("abcdef"), help="what to measure")
    parser.add_argument("--cpu-time", action="store_true", help="seconds of this process, not of the wall")
    options = parser.parse_args()
    if options.cpu_time:
        clock.now = time.process_time
    return options


class Clock:
    """What time it is; as an observer of the loop, what time it was after each step."""

    def __init__(self) -> None:
        self.now = time.perf_counter
        self.at: dict[int, float] = {}

    def after_step(self, step: int, batch: object, outputs: object) -> None:
        self.at[step] = self.now()

    def after_epoch(self, epoch: int, student: object) -> None: ...

    def state_dict(self) -> dict[str, Tensor]:
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None: ...


clock = Clock()


def random_images() -> ImageSet:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (IMAGES, 3, 32, 32), dtype=torch.uint8, generator=generator)
    return ImageSet(pixels, torch.randint(0, 10, (IMAGES,), generator=generator), classes=[str(k) for k in range(10)])


def settled(teacher: Classifier, images: ImageSet) -> Classifier:
    """With batch-norm statistics of the images; a fresh network's logits are beyond half precision."""
    teacher.train()
    with torch.no_grad():
        for step in range(20):
            teacher(images.tensor()[100 * step : 100 * step + 100])
    return teacher.eval()


def rate_of(steps: Iterable[object], batch_size: int) -> float:
    """Images per second of exhausting `steps`, the first few not counted."""
    iterator = iter(steps)
    for _ in range(WARM_UP):
        next(iterator)
    start = clock.now()
    count = sum(1 for _ in iterator)
    return count * batch_size / (clock.now() - start)


def views_alone(images: ImageSet, batch_size: int) -> float:
    stream = BatchStream(images, augmentation=augmentation("pad-crop-flip"), batch_size=batch_size, seed=0, device=CPU)
    return rate_of((stream[step] for step in range(WARM_UP + 200_000 // batch_size)), batch_size)


def limbeck_distilling(images: ImageSet, teacher: Classifier, options: argparse.Namespace, *, cache: bool) -> float:
    """Steps after the warm-up."""
    settings = TrainingSettings(
        steps=WARM_UP + options.steps,
        batch_size=options.batch_size,
        compile=options.compile,
        checkpoint_seconds=1e9,
        cache=CacheSettings() if cache else False,
    )
    with tempfile.TemporaryDirectory() as folder, RunFolder.open(f"{folder}/run", {}) as run_folder:
        fit(
            create("resnet20", num_classes=10),
            images,
            weighted_sum(OBJECTIVE),
            settings=settings,
            run_folder=run_folder,
            seed=0,
            teacher=teacher,
            observers=[clock],
        )
    return options.steps * options.batch_size / (clock.at[WARM_UP + options.steps] - clock.at[WARM_UP])


def cold_distilling(images: ImageSet, teacher: Classifier, options: argparse.Namespace) -> float:
    shutil.rmtree(os.environ["LIMBECK_CACHE"], ignore_errors=True)
    return limbeck_distilling(images, teacher, options, cache=True)


class PilImages(Dataset[tuple[Tensor, int]]):
    """What torchvision's CIFAR10 does: an array to a PIL image, transformed one by one."""

    def __init__(self, images: ImageSet) -> None:
        assert images.labels is not None
        self.arrays = images.tensor().permute(0, 2, 3, 1).contiguous().numpy()
        self.labels = images.labels.tolist()
        self.transform: Callable[[Image.Image], Tensor] = transforms.Compose(
            [
                transforms.RandomCrop(32, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.arrays[index])), self.labels[index]


def usual_distilling(images: ImageSet, teacher: Classifier, options: argparse.Namespace) -> float:
    network, asked = create("resnet20", num_classes=10).network, teacher.network
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    loader = DataLoader(PilImages(images), options.batch_size, shuffle=True, num_workers=2, drop_last=True)

    def steps() -> Iterator[None]:
        done = 0
        while True:
            for inputs, labels in loader:
                answered = network(inputs)
                with torch.no_grad():
                    target = asked(inputs)
                soft = F.kl_div(F.log_softmax(answered / 4, 1), F.softmax(target / 4, 1), reduction="batchmean") * 16
                loss = 0.1 * F.cross_entropy(answered, labels) + 0.9 * soft
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                yield
                done += 1
                if done == WARM_UP + options.steps:
                    return

    return rate_of(steps(), options.batch_size)


def bare_student(student: Classifier, options: argparse.Namespace) -> float:
    dtype, channels_last = computing()
    network = student.network.to(memory_format=ORDERS[channels_last]).train()
    if options.compile:
        network.compile()
    inputs = one_batch(options.batch_size, torch.float32, channels_last)
    labels = torch.randint(0, 10, (options.batch_size,))

    def steps() -> Iterator[None]:
        for _ in range(WARM_UP + options.steps):
            with autocast(CPU, dtype):
                logits = network(inputs)
            F.cross_entropy(logits.float(), labels).backward()
            network.zero_grad()
            yield

    return rate_of(steps(), options.batch_size)


def bare_teacher(teacher: Classifier, options: argparse.Namespace) -> float:
    dtype, channels_last = computing()
    frozen = FrozenTeacher(teacher, device=CPU, dtype=dtype, channels_last=channels_last, compile=options.compile)
    network = frozen.classifier.network
    inputs = one_batch(options.batch_size, dtype, channels_last)

    def steps() -> Iterator[None]:
        for _ in range(WARM_UP + options.steps):
            with torch.inference_mode():
                network(inputs)
            yield

    return rate_of(steps(), options.batch_size)


def computing() -> tuple[torch.dtype, bool]:
    """Precision, and whether memory is channels-last, as (b) computes here."""
    dtype = resolve_precision("auto", CPU)
    return dtype, resolve_channels_last("auto", CPU, dtype)


def one_batch(batch_size: int, dtype: torch.dtype, channels_last: bool) -> Tensor:
    return torch.rand(batch_size, 3, 32, 32).to(dtype, memory_format=ORDERS[channels_last])


def show(console: Console, rounds: list[dict[str, float]], options: argparse.Namespace) -> None:
    dtype, channels_last = computing()
    about = f"{str(dtype).removeprefix('torch.')}, {'channels-last' if channels_last else 'contiguous'}"
    title = f"images/s, batch {options.batch_size}, {torch.get_num_threads()} threads, {about}"
    table = Table(title=title, box=None)
    for column in ("", "median", "min", "max"):
        table.add_column(column, justify="right" if column else "left")
    for name in rounds[0]:
        rates = [one[name] for one in rounds]
        table.add_row(name, *(f"{value:,.0f}" for value in (statistics.median(rates), min(rates), max(rates))))
    table.add_section()
    for name, (part, whole) in {
        "(b) / (c)": ("(b) limbeck distilling", "(c) the usual way"),
        "(b) / limit of (d)": ("(b) limbeck distilling", "limit"),
        "(f) / (b)": ("(f) limbeck, cold cache", "(b) limbeck distilling"),
        "(e) / (c)": ("(e) limbeck, warm cache", "(c) the usual way"),
        "(e) / bare student": ("(e) limbeck, warm cache", "(d) bare student"),
        "bare student / (c)": ("(d) bare student", "(c) the usual way"),
    }.items():
        rates = [one | {"limit": limit(one)} if "d" in options.only else one for one in rounds]
        if not {part, whole} <= rates[0].keys():
            continue
        ratios = [one[part] / one[whole] for one in rates]
        table.add_row(name, *(f"{value:.2f}" for value in (statistics.median(ratios), min(ratios), max(ratios))))
    console.print(table)


def limit(one: dict[str, float]) -> float:
    return 1 / (1 / one["(d) bare student"] + 1 / one["(d) bare teacher"])


if __name__ == "__main__":
    main()
