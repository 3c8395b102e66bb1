"""Distilling the usual way and as RepDistiller does it, for `throughput.py`: each gives images per second."""

import contextlib
import os
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from limbeck.data import ImageSet
from references import Checkout

Now = Callable[[], float]
"""Seconds from an arbitrary start, once the device has finished its work."""


class PilImages(Dataset[tuple[Tensor, int, int]]):
    """What torchvision's CIFAR10 does: an array to a PIL image, transformed one by one; with its number, as there."""

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

    def __getitem__(self, index: int) -> tuple[Tensor, int, int]:
        return self.transform(Image.fromarray(self.arrays[index])), self.labels[index], index


class TimedBatches:
    """So many batches of a loader, pass after pass; the clock is read after the warm-up and at the end."""

    def __init__(self, loader: DataLoader, warm_up: int, steps: int, begin: Now, now: Now) -> None:
        self.loader, self.warm_up, self.steps, self.begin, self.now = loader, warm_up, steps, begin, now
        self.begun = self.ended = 0.0

    def __len__(self) -> int:
        return self.warm_up + self.steps

    def __iter__(self) -> Iterator[list[Tensor]]:
        done = 0
        while True:
            for batch in self.loader:
                if done == self.warm_up:
                    self.begun = self.begin()
                yield batch
                done += 1
                if done == len(self):
                    self.ended = self.now()
                    return

    def images_per_second(self) -> float:
        assert self.loader.batch_size is not None
        return self.steps * self.loader.batch_size / (self.ended - self.begun)


def batches_of(
    images: ImageSet, options: Namespace, warm_up: int, begin: Now, now: Now, *, pinned: bool
) -> TimedBatches:
    loader = DataLoader(
        PilImages(images),
        options.batch_size,
        shuffle=True,
        num_workers=options.loaders,
        drop_last=True,
        pin_memory=pinned,
        persistent_workers=options.loaders > 0,
    )
    return TimedBatches(loader, warm_up, options.steps, begin, now)


def usual(
    images: ImageSet,
    student: nn.Module,
    teacher: nn.Module,
    options: Namespace,
    warm_up: int,
    begin: Now,
    now: Now,
) -> float:
    """A tutorial's loop: loader with workers and pinned memory, both networks in float32, the loss never read."""
    device = options.device
    student, teacher = student.to(device).train(), teacher.to(device).eval()
    optimizer = torch.optim.SGD(student.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    batches = batches_of(images, options, warm_up, begin, now, pinned=device.type == "cuda")
    for pixels, labels, _ in batches:
        inputs, labels = pixels.to(device, non_blocking=True), labels.to(device, non_blocking=True)
        logits = student(inputs)
        with torch.no_grad():
            target = teacher(inputs)
        soft = F.kl_div(F.log_softmax(logits / 4, 1), F.softmax(target / 4, 1), reduction="batchmean") * 16
        loss = 0.1 * F.cross_entropy(logits, labels) + 0.9 * soft
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return batches.images_per_second()


def repdistiller(
    images: ImageSet, student: str, teacher: str, options: Namespace, warm_up: int, now: Now, *, classes: int
) -> float:
    """`train_distill` of a checkout with its own networks and loss, untouched, on batches such as its loader gives."""
    source = Checkout(Path(options.repdistiller).resolve())
    models, loops = source.load("models/resnet"), source.load("helper/loops")
    device = options.device
    networks = nn.ModuleList(getattr(models, name)(num_classes=classes) for name in (student, teacher))
    distance = source.load("distiller_zoo/KD").DistillKL
    losses = nn.ModuleList([nn.CrossEntropyLoss(), distance(4), distance(4)])
    networks.to(device)
    losses.to(device)
    optimizer = torch.optim.SGD(networks[0].parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    batches = batches_of(images, options, warm_up, now, now, pinned=False)
    settings = Namespace(distill="kd", gamma=0.1, alpha=0.9, beta=0.0, print_freq=100)
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        loops.train_distill(1, batches, networks, losses, optimizer, settings)
    return batches.images_per_second()
