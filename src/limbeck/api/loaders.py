"""`distillation_loader` from Python, on objects or on names."""

from pathlib import Path
from typing import Any, TypedDict, Unpack

from limbeck.api.objects import network_of
from limbeck.data.loading import as_image_set
from limbeck.data.objects.reading import ImagesLike
from limbeck.data.torch_dataset import Normalisation
from limbeck.data.transfer_set import TransferSet
from limbeck.data.views import Spec
from limbeck.device import Device
from limbeck.models.classifier import Classifier
from limbeck.precision import Precision
from limbeck.progress import Progress
from limbeck.training.distillation_loader import DistillationLoader
from limbeck.training.view_cache.settings import CacheSettings


class LoaderArguments(TypedDict, total=False):
    """See `DistillationLoader`."""

    views: Spec
    seed: int
    shuffle: bool
    workers: int
    normalise: Normalisation | None
    precision: Precision
    device: Device
    cache: CacheSettings | bool
    progress: Progress | None


def distillation_loader(
    teacher: Classifier | str | Path,
    images: ImagesLike | TransferSet,
    *,
    batch_size: int,
    **how: Unpack[LoaderArguments],
) -> DistillationLoader:
    """Batches (images, labels, teacher_logits, ids) for a training loop of one's own.

    The views and the order of an epoch are those of the pass of `limbeck.distill` with that seed. What the teacher says
    of a view is read from limbeck's cache where it is known, from whichever run or loop.

    Args:
        teacher: a classifier, or whatever `load_model` takes.
        images: a transfer set, whose soft labels are left aside, a data set's name, or what else `limbeck.load` takes.
        batch_size: images of a batch; the last may be smaller.
        how: `views`, `seed`, `shuffle`, `workers`, `normalise`, `precision`, `device`, `cache` and `progress`, see
            `DistillationLoader`.

    Raises:
        UserError: see `DistillationLoader`.

    Example:
        >>> with lb.distillation_loader(teacher, images, batch_size=100, views="pad-crop", device="cpu") as loader:
        ...     for epoch in range(2):
        ...         loader.set_epoch(epoch)
        ...         for shown, labels, teacher_logits, ids in loader:
        ...             loss = torch.nn.functional.mse_loss(student(shown).logits, teacher_logits)
        >>> teacher_logits.shape
        torch.Size([100, 10])
    """
    image_set = images.decoded().images if isinstance(images, TransferSet) else as_image_set(images, "train", "images")
    options: dict[str, Any] = {**how}
    return DistillationLoader(network_of(teacher, "teacher"), image_set, batch_size=batch_size, **options)
