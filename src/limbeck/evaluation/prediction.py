"""One pass of a classifier over an image set."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Tensor

from limbeck.device import Device
from limbeck.errors import UserError
from limbeck.models.forward import whole_outputs
from limbeck.precision import Precision

if TYPE_CHECKING:
    from limbeck.data import ImageSet
    from limbeck.models import Classifier


def predict(
    classifier: "Classifier",
    images: "ImageSet",
    *,
    batch_size: int = 500,
    precision: Precision = "fp32",
    device: Device = "auto",
    progress: Callable[[int], None] | None = None,
) -> Tensor:
    """Logits of every image, in the order in which the set stores them.

    The classifier runs in eval mode without gradients and gets the modes of all its modules back afterwards, so that
    neither weights nor batch-norm statistics change.

    Args:
        classifier: gives logits `[B, K]` for uint8 images `[B, C, H, W]`.
        images: read batch by batch, so that a memory-mapped set stays on disk.
        batch_size: images per forward pass, >= 1. Changes nothing but speed and memory.
        precision: "fp32", "bf16" for autocast, or "auto" for what the device is fastest in.
        device: where to run. "auto" is the first GPU (or what this process trains on), else the CPU; the classifier
            itself stays where it is. To a device that is named it is moved, and there it stays.
        progress: called after every batch with the number of images in it.

    Returns:
        float32 `[N, K]` on the CPU.

    Raises:
        UserError: an argument is out of range, or a logit is not finite.

    Example:
        >>> predict(student, lb.load("digits", "test")).shape
        torch.Size([360, 10])
    """
    logits = whole_outputs(
        classifier, images, batch_size=batch_size, precision=precision, device=device, progress=progress
    ).logits
    _check_finite(logits, images)
    return logits


def _check_finite(logits: Tensor, images: "ImageSet") -> None:
    broken = ~logits.isfinite().all(1)
    if broken.any():
        first = images.ids[broken.nonzero()[0]].item()
        raise UserError(
            f"the classifier's logits are not finite for {int(broken.sum())} of {len(images)} images of "
            f"{images.name!r} (first: id {first}); look for NaN in its weights, or try precision 'fp32'."
        )
