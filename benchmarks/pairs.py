"""What `throughput.py` measures of a pair of networks, by one process or by several at once."""

import argparse
import contextlib
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.synchronize import Barrier

import torch
import torch.nn.functional as F
from torch import Tensor

from limbeck.data import ImageSet, load
from limbeck.data.views import augmentation
from limbeck.models import Classifier, create
from limbeck.models.forward import compile_network
from limbeck.objectives import weighted_sum
from limbeck.precision import autocast, resolve_channels_last, resolve_precision
from limbeck.training import FrozenTeacher, RunFolder, TrainingSettings, fit
from limbeck.training.batches import BatchStream
from limbeck.training.launcher import make_accelerator
from limbeck.training.view_cache.settings import CacheSettings
from other_loops import repdistiller, usual

IMAGES, CLASSES = 10_000, 100
WARM_UP = 10
LONG = 10**6
"""Steps in the settings of every run, so that its losses are written as seldom as a long run's."""
OBJECTIVE = {"cross_entropy": 0.1, "kd": 0.9}
ORDERS = {True: torch.channels_last, False: torch.contiguous_format}
SIDE_BY_SIDE = "bce"


class Enough(Exception):
    """All timed steps are done."""


class Clock:
    """Seconds, once the device has finished its work; as an observer, those of a run's steps after the warm-up.

    Args:
        options: as parsed.
        barrier: where processes side by side meet before they begin.
    """

    def __init__(self, options: argparse.Namespace, barrier: Barrier | None = None) -> None:
        self.device, self.steps, self.barrier = options.device, options.steps, barrier
        self.seconds = time.process_time if options.cpu_time else time.perf_counter
        self.begun = self.taken = 0.0

    def __call__(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return self.seconds()

    def begin(self) -> float:
        """The same, once all processes have come this far."""
        self()
        if self.barrier is not None:
            self.barrier.wait(timeout=600)
        self.begun = self()
        return self.begun

    def after_step(self, step: int, batch: object, outputs: object) -> None:
        if step == WARM_UP:
            self.begin()
        if step == WARM_UP + self.steps:
            self.taken = self() - self.begun
            raise Enough

    def after_epoch(self, epoch: int, student: object) -> None: ...

    def state_dict(self) -> dict[str, Tensor]:
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None: ...


class Bench:
    """What is measured of one pair of networks.

    Args:
        options: as parsed, with `teacher` and `student`.
        barrier: see `Clock`.
    """

    def __init__(self, options: argparse.Namespace, barrier: Barrier | None = None) -> None:
        self.options, self.barrier = options, barrier
        self.device: torch.device = options.device
        self.images = random_images() if options.data is None else load(options.data)
        self.classes = self.images.num_classes
        self.teacher = settled(self.network(options.teacher), self.images, self.device)

    def measures(self) -> dict[str, Callable[[], float]]:
        """Name -> function that gives images per second, in the order in which they are measured."""
        measures: dict[str, Callable[[], float]] = {
            "(a) views alone": self.views_alone,
            "(b) limbeck distilling": self.plain,
            "(f) limbeck, cold cache": self.cold,
            "(e) limbeck, warm cache": self.warm,
            "(c) the usual way": self.usual,
            "(d) bare student": self.bare_student,
            "(d) bare teacher": self.bare_teacher,
        }
        if self.options.repdistiller:
            measures["(g) RepDistiller"] = self.repdistiller
        for count in self.options.beside:
            if count > 1:
                chosen = [name for name in measures if name[1] in SIDE_BY_SIDE and "x" not in name[-4:]]
                measures |= {f"{name} x {count}": lambda n=name, k=count: beside(n, k, self.options) for name in chosen}
        return {name: measure for name, measure in measures.items() if name[1] in self.options.only}

    def network(self, name: str) -> Classifier:
        return create(name, num_classes=self.classes)

    def views_alone(self) -> float:
        size, clock = self.options.batch_size, Clock(self.options)
        views = augmentation(self.options.views, per_image=self.options.views_per_image)
        stream = BatchStream(self.images, augmentation=views, batch_size=size, seed=0, device=self.device)
        return self.rate_of((stream[step] for step in range(WARM_UP + 200_000 // size)), clock)

    def rate_of(self, steps: Iterable[object], clock: Clock) -> float:
        """Images per second of exhausting `steps`, the first few not counted."""
        iterator = iter(steps)
        for _ in range(WARM_UP):
            next(iterator)
        start = clock.begin()
        count = sum(1 for _ in iterator)
        return count * self.options.batch_size / (clock() - start)

    def plain(self) -> float:
        return self.distilling(cache=False)

    def warm(self) -> float:
        return self.distilling(cache=True)

    def cold(self) -> float:
        shutil.rmtree(os.environ["LIMBECK_CACHE"], ignore_errors=True)
        return self.distilling(cache=True)

    def distilling(self, *, cache: bool) -> float:
        """Images per second of the steps after the warm-up."""
        settings = TrainingSettings(
            steps=LONG,
            batch_size=self.options.batch_size,
            compile=self.options.compile,
            views=self.options.views,
            views_per_image=self.options.views_per_image,
            checkpoint_seconds=1e9,
            cache=CacheSettings() if cache else False,
        )
        clock = Clock(self.options, self.barrier)
        accelerator = make_accelerator(settings, cpu=self.device.type == "cpu")
        with (
            tempfile.TemporaryDirectory() as folder,
            contextlib.suppress(Enough),
            RunFolder.open(f"{folder}/run", {}) as run_folder,
        ):
            fit(
                self.network(self.options.student),
                self.images,
                weighted_sum(OBJECTIVE),
                settings=settings,
                run_folder=run_folder,
                seed=0,
                teacher=self.teacher,
                observers=[clock],
                accelerator=accelerator,
            )
        return self.options.steps * self.options.batch_size / clock.taken

    def usual(self) -> float:
        student, teacher = self.network(self.options.student), self.teacher
        clock = Clock(self.options, self.barrier)
        return usual(self.images, student.network, teacher.network, self.options, WARM_UP, clock.begin, clock)

    def repdistiller(self) -> float:
        options, clock = self.options, Clock(self.options)
        return repdistiller(
            self.images, options.student, options.teacher, options, WARM_UP, clock, classes=self.classes
        )

    def bare_student(self) -> float:
        dtype, channels_last = computing(self.device)
        network = self.network(self.options.student).network
        network = network.to(self.device).to(memory_format=ORDERS[channels_last]).train()
        compile_network(network, self.options.compile)
        inputs = self.one_batch(torch.float32, channels_last)
        labels = torch.randint(0, self.classes, (len(inputs),)).to(self.device)

        def steps() -> Iterator[None]:
            for _ in range(WARM_UP + self.options.steps):
                with autocast(self.device, dtype):
                    logits = network(inputs)
                F.cross_entropy(logits.float(), labels).backward()
                network.zero_grad()
                yield

        return self.rate_of(steps(), Clock(self.options))

    def bare_teacher(self) -> float:
        dtype, channels_last = computing(self.device)
        frozen = FrozenTeacher(
            self.teacher, device=self.device, dtype=dtype, channels_last=channels_last, compile=self.options.compile
        )
        inputs = self.one_batch(dtype, channels_last)

        def steps() -> Iterator[None]:
            for _ in range(WARM_UP + self.options.steps):
                with torch.inference_mode():
                    frozen.classifier.network(inputs)
                yield

        return self.rate_of(steps(), Clock(self.options))

    def one_batch(self, dtype: torch.dtype, channels_last: bool) -> Tensor:
        images = torch.rand(self.options.batch_size, 3, 32, 32)
        return images.to(self.device).to(dtype, memory_format=ORDERS[channels_last])


def beside(name: str, count: int, options: argparse.Namespace) -> float:
    """Images per second of `count` processes that measure the same at once, together."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(count)
    with ProcessPoolExecutor(count, context, initializer=_meet_at, initargs=(barrier,)) as pool:
        return sum(pool.map(_measure, [name] * count, [options] * count))


_barrier: Barrier | None = None


def _meet_at(barrier: Barrier) -> None:
    global _barrier
    _barrier = barrier
    cores = os.cpu_count() or 1
    torch.set_num_threads(max(1, cores // barrier.parties))


def _measure(name: str, options: argparse.Namespace) -> float:
    return Bench(options, _barrier).measures()[name]()


def random_images() -> ImageSet:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (IMAGES, 3, 32, 32), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, CLASSES, (IMAGES,), generator=generator)
    return ImageSet(pixels, labels, classes=[str(k) for k in range(CLASSES)])


def settled(teacher: Classifier, images: ImageSet, device: torch.device) -> Classifier:
    """The teacher with batch-norm statistics of the images; a fresh network's logits exceed half precision."""
    teacher.to(device).train()
    with torch.no_grad():
        for step in range(20):
            teacher(images.gather(torch.arange(100 * step, 100 * step + 100) % len(images)).to(device))
    return teacher.cpu().eval()


def computing(device: torch.device) -> tuple[torch.dtype, bool]:
    """Precision, and whether memory is channels-last, as (b) computes here."""
    dtype = resolve_precision("auto", device)
    return dtype, resolve_channels_last("auto", device, dtype)
