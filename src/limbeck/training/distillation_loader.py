"""Batches with a teacher's logits for the user's own training loop, from the view cache where they are known."""

import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from limbeck.data.classes import class_places, classes_of
from limbeck.data.image_set import ImageSet
from limbeck.data.torch_dataset import Normalisation, Shown, TorchDataset, channel_scale, dataloader
from limbeck.data.views import Spec, augmentation
from limbeck.device import Device
from limbeck.errors import UserError
from limbeck.models.classifier import Classifier
from limbeck.models.forward import FrozenTeacher, resolve_computing
from limbeck.models.readiness import check_ready
from limbeck.precision import Precision
from limbeck.progress import Progress, Silent
from limbeck.training.view_cache.cache import ViewCache
from limbeck.training.view_cache.opening import open_view_cache
from limbeck.training.view_cache.settings import CacheSettings


class DistillationBatch(NamedTuple):
    """A batch of images with what a student learns from them, on the loader's device.

    Attributes:
        images: float32 [B, C, H, W] in [0, 1], or normalised.
        labels: int64 [B], or float32 [B, K] for mixed images; None where the images have none.
        teacher_logits: float32 [B, K], for exactly these views.
        ids: int64 [B].
    """

    images: Tensor
    labels: Tensor | None
    teacher_logits: Tensor
    ids: Tensor


class DistillationLoader:
    """Batches of an epoch with a teacher's logits for their views, the same as in `limbeck.distill` with that seed.

    Logits that the teacher computed for a view before, in any run or loop, are read from limbeck's cache; the rest is
    computed in this process and cached. Where the number of views is not finite, nothing is cached.

    Args:
        teacher: any classifier; it is not changed.
        images: N images, labelled or not, of the teacher's classes in any order.
        batch_size, shuffle, workers: see `limbeck.data.torch_dataset.dataloader`.
        views, seed, normalise: see `TorchDataset`.
        precision, device: of the teacher's computation; batches are returned on that device, too.
        cache: what is cached and how, or False for nothing.
        progress: told about the cache.

    Attributes:
        passes: images that the teacher has computed so far.
        classes: class names, in the order of labels and logits.

    Raises:
        UserError: a teacher of other classes, or see `TorchDataset`.

    Example:
        >>> loader = DistillationLoader(teacher, images, batch_size=50, views="none")
        >>> for epoch in range(3):
        ...     loader.set_epoch(epoch)
        ...     for shown, labels, teacher_logits, ids in loader:
        ...         assert teacher_logits.shape == (50, 10)
        >>> loader.passes <= 200 + 64  # each image once, and some again to see that the cache is this teacher's
        True
    """

    def __init__(
        self,
        teacher: Classifier,
        images: ImageSet,
        *,
        batch_size: int,
        views: Spec = "none",
        seed: int = 0,
        shuffle: bool = True,
        workers: int = 0,
        normalise: Normalisation | None = None,
        precision: Precision = "auto",
        device: Device = "auto",
        cache: CacheSettings | bool = True,
        progress: Progress | None = None,
    ) -> None:
        check_ready(teacher, "teacher")
        self._places = _places(teacher, images)
        shown: Shown = {"views": views, "seed": seed, "dtype": torch.float32 if images.has_floats else torch.uint8}
        shown["targets"] = () if images.labels is None else "label"
        arguments: dict[str, Any] = {"batch_size": batch_size, "shuffle": shuffle, "workers": workers}
        self._loader = dataloader(images, **arguments, **shown)
        self._scale = None if normalise is None else channel_scale(normalise, images.shape[0])
        self.images, self.views, self.classes = images, augmentation(views), images.classes
        computing = resolve_computing(device, precision)
        self.device = computing.device
        self._teacher = FrozenTeacher(
            teacher, device=self.device, dtype=computing.dtype, channels_last=computing.channels_last
        )
        settings = CacheSettings() if cache is True else cache
        say = (progress or Silent()).say
        self._cache: ViewCache | None = None
        if settings:
            self._cache = open_view_cache(self._teacher, images, self.views, settings, say=say)

    @property
    def dataset(self) -> TorchDataset:
        """The views without the teacher's logits."""
        return self._loader.dataset

    @property
    def passes(self) -> int:
        return self._teacher.passes

    def set_epoch(self, epoch: int) -> None:
        """Switches to the views and the order of another epoch, 0, 1, ..."""
        self.dataset.set_epoch(epoch)

    def __len__(self) -> int:
        """Batches of an epoch."""
        return len(self._loader)

    def __iter__(self) -> Iterator[DistillationBatch]:
        epoch = self.dataset.epoch
        for images, labels, ids in self._loader:
            logits = self._logits(images.to(self.device), ids, epoch)
            yield DistillationBatch(
                self._numbers(images.to(self.device)),
                None if self.images.labels is None else labels.to(self.device),
                logits if self._places is None else logits[:, self._places],
                ids.to(self.device),
            )

    def close(self) -> None:
        """Closes the cache's files; their content stays."""
        if self._cache is not None:
            self._cache.close()
            self._cache = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _logits(self, images: Tensor, ids: Tensor, epoch: int) -> Tensor:
        if self._cache is None:
            return self._teacher(images).logits
        draws = self.views.draw(ids, seed=self.dataset.view_seed, view=epoch)
        return self._cache(images, self._cache.entries(self.images.positions(ids), draws), ("logits",))[0].logits

    def _numbers(self, images: Tensor) -> Tensor:
        floats = images if images.is_floating_point() else images.float() / 255
        if self._scale is None:
            return floats
        mean, deviation = self._scale
        return (floats - mean.to(self.device)) / deviation.to(self.device)


def _places(teacher: Classifier, images: ImageSet) -> list[int] | None:
    """The place of each class of the images among the teacher's; None where the order is the same or unknown."""
    if not images.num_classes:
        return None
    if images.num_classes != teacher.num_classes:
        raise UserError(
            f"`teacher` tells {teacher.num_classes} classes apart and {images.name!r} has {images.num_classes}; give a "
            "teacher of these classes, or the images without labels, `images.with_labels(None, ())`."
        )
    places, assumed = class_places(classes_of(images), classes_of(teacher, "`teacher`"))
    if assumed:
        warnings.warn(assumed, stacklevel=4)
    return None if list(places) == list(range(len(places))) else list(places)
