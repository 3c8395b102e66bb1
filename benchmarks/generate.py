"""Seconds of a round of BSR beside its reference implementation, in one run; outliers and memory as images grow more.

    LIMBECK_WEIGHTS=... python benchmarks/generate.py [--repeats 3] [--reference PATH] [--batch-size 256]
                                          [--inner-steps 10] [--student-steps 20] [--held 5120] [--processor-time]
    python benchmarks/generate.py --growth 10 20 40    # outliers alone, over so many rounds
    python benchmarks/generate.py --memory [--virtual 20000 80000]

The reference is the repository named in `URL`, cloned into a temporary folder unless `--reference` names a copy; it
needs kornia. Its program does not start, for want of a file, but the parts of a round do: they are imported, never
copied.

A round at equal settings, of the same teacher, student, generator, losses and batch: (a) a call makes images; (b) they
go into the repository, which held `--held` images of before; (c) outliers of every class leave; (d) the student learns
for some steps of images in random crops and flips, asking the teacher anew each time, as in a first round. The loop
around (d) is written anew on either side. (b) of the reference is a part of its (a) and timed within. Precision is
float32 on either side, unless `--precision auto` lets ours compute in what it is fastest in, as it does of itself; the
order in memory is what each has of itself.

Ratios are taken repeat by repeat, one side right after the other, in the other order each time; quote them from a
machine that does nothing else (the load is printed). `--processor-time` counts what this process and its readers
compute.
"""

import argparse
import importlib
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from limbeck.data.augmentation import Augmentation
from limbeck.data.views import augmentation
from limbeck.models import Classifier, create, load
from limbeck.models.forward import FrozenTeacher, resolve_computing
from limbeck.models.shared_memory import private_copy
from limbeck.precision import autocast
from limbeck.transfer.generate.homogenise import Homogeniser
from limbeck.transfer.generate.repository import Repository
from limbeck.transfer.generate.settings import GenerateSettings, Homogenise
from limbeck.transfer.generate.synthesis import Synthesiser
from references import without_cuda

URL = "https://github.com/sunyafeng1996/BSR"
SHAPE, CLASSES, WIDTH = (3, 32, 32), 10, 64
PARTS = ("(a) images", "(b) repository", "(c) outliers", "(d) student", "a round")


def main() -> None:
    options = parse()
    warnings.simplefilter("ignore")
    if options.appended is not None:
        print(memory_of(*options.appended))
    elif options.memory:
        compare_memory(options)
    elif options.growth:
        with reference(options.reference):
            compare_growth(options)
    else:
        with reference(options.reference):
            compare_rounds(options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, help="a copy of the reference, instead of cloning it")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--teacher", default="cifar10-resnet20")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--inner-steps", type=int, default=10)
    parser.add_argument("--student-steps", type=int, default=20)
    parser.add_argument("--held", type=int, default=5120, help="images of before")
    parser.add_argument("--precision", default="fp32", help="of ours: fp32, bf16 or auto")
    parser.add_argument("--growth", type=int, nargs="+", help="rounds over which outliers are looked for")
    parser.add_argument("--memory", action="store_true", help="measure memory in place of speed")
    parser.add_argument("--virtual", type=int, nargs="+", default=[20_000, 80_000], help="images held, for --memory")
    parser.add_argument("--processor-time", action="store_true", help="by the processor's clock, on a busy machine")
    parser.add_argument("--appended", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


@contextmanager
def reference(path: Path | None) -> Iterator[None]:
    """Inside, its modules can be imported, without its packages' own `__init__`, which import more than is needed."""
    with tempfile.TemporaryDirectory() as folder:
        if path is None:
            path = Path(folder) / "reference"
            if subprocess.run(["git", "clone", "--quiet", "--depth", "1", URL, str(path)], check=False).returncode:
                sys.exit(f"cannot clone {URL}; offline, give a copy: --reference PATH.")
        without_cuda()
        for name in ("datafree", "datafree.synthesis", "datafree.utils", "datafree.models"):
            package = types.ModuleType(name)
            package.__path__ = [str(path.resolve() / name.replace(".", "/"))]
            sys.modules[name] = package
        utils = importlib.import_module("datafree.utils._utils")
        vars(sys.modules["datafree.utils"]).update({k: v for k, v in vars(utils).items() if not k.startswith("__")})
        yield


def compare_rounds(options: argparse.Namespace) -> None:
    console = Console()
    teacher = load(options.teacher).requires_grad_(False).eval()
    clock = processor if options.processor_time else time.perf_counter
    with tempfile.TemporaryDirectory() as folder:
        sides = {
            "ours": ours(teacher, options, clock, Path(folder) / "ours"),
            "reference": theirs(teacher, options, clock, Path(folder) / "theirs"),
        }
        for side in sides.values():
            side()
        repeats: list[dict[str, dict[str, float]]] = []
        for repeat in range(options.repeats):
            order = list(sides) if repeat % 2 == 0 else list(sides)[::-1]
            repeats.append({name: sides[name]() for name in order})
            console.print(f"repeat {repeat + 1}, load {os.getloadavg()[0]:.1f}")
    table = Table("", "s ours", "s reference", "ratio", "of the repeats")
    for part in PARTS:
        ratios = sorted(seconds["reference"][part] / seconds["ours"][part] for seconds in repeats)
        cells = [f"{statistics.median(seconds[side][part] for seconds in repeats):.3f}" for side in sides]
        table.add_row(part, *cells, f"{statistics.median(ratios):.1f}", f"{ratios[0]:.1f} to {ratios[-1]:.1f}")
    console.print(
        f"{options.teacher}: {options.inner_steps} steps on {options.batch_size} images, {options.student_steps} "
        f"of the student, {options.held:,} images of before, {torch.get_num_threads()} threads"
    )
    console.print(table)


def processor() -> float:
    """Processor seconds of this process, and of those that it waited for."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


class Laps:
    """Seconds of parts, one after the other."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.start = self.last = clock()
        self.parts: dict[str, float] = {}

    def __call__(self, part: str) -> None:
        now = self.clock()
        self.parts[part], self.last = now - self.last, now

    def whole(self) -> dict[str, float]:
        return {**self.parts, "a round": self.clock() - self.start}


def student_of() -> Classifier:
    return create("resnet8", num_classes=CLASSES, seed=0)


def before(options: argparse.Namespace) -> tuple[Tensor, Tensor, Tensor]:
    """Images, logits and embeddings that are held when a round begins."""
    source = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (options.held, *SHAPE), generator=source, dtype=torch.uint8)
    logits = torch.randn(options.held, CLASSES, generator=source)
    return pixels, logits, torch.randn(options.held, WIDTH, generator=source)


def ours(teacher: Classifier, options: argparse.Namespace, clock: Callable[[], float], folder: Path) -> Any:
    batch_size, steps = options.batch_size, options.inner_steps
    values = {"method": "bsr", "batch_size": batch_size, "inner_steps": steps, "budget": 10**6}
    settings = GenerateSettings.model_validate(values)
    synthesiser = Synthesiser(
        settings, teacher, shape=SHAPE, num_classes=CLASSES, seed=0, device="cpu", precision=options.precision
    )
    repository = Repository(folder, shape=SHAPE, num_classes=CLASSES, embedding=WIDTH)
    homogeniser = Homogeniser(settings.homogenise or Homogenise(), num_classes=CLASSES, batch_size=batch_size)
    pixels, logits, embeddings = before(options)
    repository.append(pixels, logits=logits, embedding=embeddings, round=0, call=0)
    device, dtype, channels_last = resolve_computing("cpu", options.precision)
    student = student_of()
    order = torch.channels_last if channels_last else torch.contiguous_format
    student.to(memory_format=order)
    frozen = FrozenTeacher(teacher, device=device, dtype=dtype, channels_last=channels_last)
    optimiser = torch.optim.SGD(student.parameters(), 0.1, momentum=0.9, weight_decay=1e-4)
    views: Augmentation = augmentation("pad-crop-flip")
    calls = iter(range(10**6))

    def run() -> dict[str, float]:
        labels, number = torch.randint(CLASSES, (batch_size,)), next(calls)
        lap = Laps(clock)
        batch = synthesiser.call(number, labels, student=student)
        lap("(a) images")
        repository.append(
            batch.images, logits=batch.logits, embedding=batch.embedding, wanted=batch.labels, round=number, call=number
        )
        lap("(b) repository")
        repository.remove(homogeniser.leaving(repository))
        lap("(c) outliers")
        images = repository.image_set([str(label) for label in range(CLASSES)])
        student.train()
        for step in range(options.student_steps):
            chosen = torch.randint(len(images), (batch_size,))
            ids = images.ids[chosen]
            inputs = views(images.gather(chosen), ids, seed=0, view=number * 1000 + step).contiguous(
                memory_format=order
            )
            with autocast(device, dtype):
                logits = student(inputs).logits.float()
            learn(logits, frozen(inputs).logits, optimiser)
        lap("(d) student")
        return lap.whole()

    return run


def learn(student: Tensor, teacher: Tensor, optimiser: torch.optim.Optimizer, temperature: float = 20.0) -> None:
    of_student, of_teacher = ((logits / temperature).log_softmax(1) for logits in (student, teacher))
    loss = F.kl_div(of_student, of_teacher, reduction="batchmean", log_target=True) * temperature**2
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


class Theirs(nn.Module):
    """A network of ours as the reference calls its own: on normalised images, with features if it wants them."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.network, head = classifier.network, classifier.taps.embedding
        assert head is not None
        self.network.get_submodule(head).register_forward_pre_hook(self._keep)

    def _keep(self, module: nn.Module, args: tuple[Tensor, ...]) -> None:
        self.features = args[0]

    def forward(self, images: Tensor, return_features: bool = False) -> Any:
        logits = self.network(images)
        return (logits, self.features) if return_features else logits


def theirs(teacher: Classifier, options: argparse.Namespace, clock: Callable[[], float], folder: Path) -> Any:
    from torchvision import transforms

    bsr, utils = importlib.import_module("datafree.synthesis.bsr"), importlib.import_module("datafree.utils._utils")
    balance = importlib.import_module("datafree.utils.balance")
    network = importlib.import_module("datafree.models.generator").Generator(nz=256, ngf=64, img_size=32, nc=3)
    of_teacher, student = Theirs(private_copy(teacher, "teacher")).eval(), Theirs(student_of())
    mean, std = teacher.normalisation
    crops = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip(), transforms.ToTensor()]
    pool = folder / "dataset"
    synthesizer = bsr.BSRSynthesizer(
        of_teacher,
        student,
        network,
        nz=256,
        num_classes=CLASSES,
        img_size=SHAPE,
        save_dir=str(pool),
        transform=transforms.Compose([*crops, transforms.Normalize(mean, std)]),
        normalizer=utils.Normalizer(list(mean), list(std)),
        synthesis_batch_size=options.batch_size,
        sample_batch_size=options.batch_size,
        iterations=options.inner_steps,
        warmup=0,
        lr_g=2e-3,
        lr_z=0.01,
        adv=1.33,
        bn=10.0,
        oh=0.5,
        bn_mmt=0.9,
    )
    pixels, logits, embeddings = before(options)
    synthesizer.data_pool.add(pixels.float() / 255, logits.argmax(1), embeddings)
    optimiser = torch.optim.SGD(student.parameters(), 0.1, momentum=0.9, weight_decay=1e-4)
    adding = TimedAdd(synthesizer.data_pool.add, clock)
    synthesizer.data_pool.add = adding

    def run() -> dict[str, float]:
        labels = torch.randint(CLASSES, (options.batch_size,))
        lap = Laps(clock)
        synthesizer.synthesize(labels)
        lap("(a) images")
        lap.parts |= {"(a) images": lap.parts["(a) images"] - adding.seconds, "(b) repository": adding.seconds}
        synthesizer.data_pool = balance.balanced_within_category(synthesizer.data_pool, CLASSES, options.batch_size)
        lap("(c) outliers")
        synthesizer.construct_dataloader()
        student.train()
        for _ in range(options.student_steps):
            images, _ = synthesizer.sample()
            with torch.no_grad():
                target = of_teacher(images)
            learn(student(images), target, optimiser)
        synthesizer.data_iter = None  # ends its readers, so that their time is counted
        lap("(d) student")
        return lap.whole()

    return run


class TimedAdd:
    def __init__(self, add: Callable[..., None], clock: Callable[[], float]) -> None:
        self.add, self.clock, self.seconds = add, clock, 0.0

    def __call__(self, *arguments: Any) -> None:
        start = self.clock()
        self.add(*arguments)
        self.seconds = self.clock() - start


def compare_growth(options: argparse.Namespace) -> None:
    """Seconds of looking for outliers, in all of so many rounds and in the last one; nothing else is done."""
    clock = processor if options.processor_time else time.perf_counter
    table = Table("rounds", "images", "s ours", "in the last", "s reference", "in the last", "ratio")
    for rounds in options.growth:
        cells, totals = [], []
        for side in (grown_ours, grown_theirs):
            seconds = side(rounds, options.batch_size, clock)
            totals.append(sum(seconds))
            cells += [f"{totals[-1]:.2f}", f"{seconds[-1]:.3f}"]
        table.add_row(str(rounds), f"{rounds * options.batch_size:,}", *cells, f"{totals[1] / totals[0]:.1f}")
    Console().print(table)


def made_in(round: int, batch_size: int) -> tuple[Tensor, Tensor, Tensor]:
    source = torch.Generator().manual_seed(round)
    pixels = torch.randint(0, 256, (batch_size, *SHAPE), generator=source, dtype=torch.uint8)
    logits = torch.randn(batch_size, CLASSES, generator=source)
    return pixels, logits, torch.randn(batch_size, WIDTH, generator=source)


def grown_ours(rounds: int, batch_size: int, clock: Callable[[], float]) -> list[float]:
    homogeniser = Homogeniser(Homogenise(), num_classes=CLASSES, batch_size=batch_size)
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        repository = Repository(folder, shape=SHAPE, num_classes=CLASSES, embedding=WIDTH)
        for round in range(rounds):
            pixels, logits, embeddings = made_in(round, batch_size)
            repository.append(pixels, logits=logits, embedding=embeddings, round=round, call=round)
            start = clock()
            repository.remove(homogeniser.leaving(repository))
            seconds.append(clock() - start)
    return seconds


def grown_theirs(rounds: int, batch_size: int, clock: Callable[[], float]) -> list[float]:
    utils, balance = (importlib.import_module(f"datafree.utils.{name}") for name in ("_utils", "balance"))
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        pool = utils.LabeledImagePool(folder, CLASSES)
        for round in range(rounds):
            pixels, logits, embeddings = made_in(round, batch_size)
            pool.add(pixels.float() / 255, logits.argmax(1), embeddings)
            start = clock()
            pool = balance.balanced_within_category(pool, CLASSES, batch_size)
            seconds.append(clock() - start)
    return seconds


def compare_memory(options: argparse.Namespace) -> None:
    """What a repository of so many images adds to the memory of a process, each in a process of its own."""
    table = Table("images", "bytes an image, ours", "reference's, but for its files")
    for count in options.virtual:
        cells = []
        for side in ("ours", "theirs"):
            command = [sys.executable, __file__, "--appended", side, str(count)]
            command += [] if options.reference is None else ["--reference", str(options.reference)]
            result = subprocess.run(command, capture_output=True, text=True, check=True)
            cells.append(f"{float(result.stdout.split()[-1]) / count:,.0f}")
        table.add_row(f"{count:,}", *cells)
    Console().print(table)


def memory_of(side: str, count: str) -> int:
    """Bytes that this process gains by holding so many images."""
    options, size = parse(), 1000
    with reference(options.reference), tempfile.TemporaryDirectory() as folder:
        if side == "ours":
            held: Any = Repository(folder, shape=SHAPE, num_classes=CLASSES, embedding=WIDTH)
        else:
            held = importlib.import_module("datafree.utils._utils").LabeledImagePool(folder, CLASSES)
        start = 0
        for number in range(int(count) // size + 1):
            pixels, logits, embeddings = made_in(number, size)
            if side == "ours":
                held.append(pixels, logits=logits, embedding=embeddings, round=number, call=number)
            else:
                held.add(pixels.float() / 255, logits.argmax(1), embeddings)
            start = start or resident()  # after the first images, so that what libraries take is left out
        return resident() - start


def resident() -> int:
    """Bytes of resident memory that are this process's own (Linux)."""
    pages = Path("/proc/self/statm").read_text().split()
    return (int(pages[1]) - int(pages[2])) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
