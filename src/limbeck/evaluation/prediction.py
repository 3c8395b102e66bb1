"""One pass of a classifier over an image set."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, get_args

import torch
from torch import Tensor, nn

from limbeck.errors import UserError, unknown_name

if TYPE_CHECKING:
    from limbeck.data import ImageSet
    from limbeck.models import Classifier

Precision = Literal["fp32", "bf16"]


def predict(
    classifier: "Classifier",
    images: "ImageSet",
    *,
    batch_size: int = 500,
    precision: Precision = "fp32",
    device: torch.device | str | None = None,
    progress: Callable[[int], None] | None = None,
) -> Tensor:
    """Logits of every image, in the order in which the set stores them.

    The classifier runs in eval mode without gradients and gets the modes of all its modules back afterwards, so that
    neither weights nor batch-norm statistics change.

    Args:
        classifier: gives logits `[B, K]` for uint8 images `[B, C, H, W]`.
        images: read batch by batch, so that a memory-mapped set stays on disk.
        batch_size: images per forward pass, >= 1. Changes nothing but speed and memory.
        precision: "fp32", or "bf16" for autocast.
        device: where to run; the classifier is moved there and stays there. By default where it is.
        progress: called after every batch with the number of images in it.

    Returns:
        float32 `[N, K]` on the CPU.

    Raises:
        UserError: an argument is out of range, or a logit is not finite.

    Example:
        >>> predict(student, lb.load("digits", "test")).shape
        torch.Size([360, 10])
    """
    check_pass(batch_size, precision)
    target = device_of(classifier) if device is None else torch.device(device)
    classifier.to(target)
    # Allocated outside inference mode: callers may use the logits in autograd, as soft labels for instance.
    logits = torch.empty(len(images), classifier.num_classes)
    with evaluating(classifier), torch.inference_mode():
        for positions, pixels in images.batches(batch_size):
            pixels = pixels.to(target, memory_format=torch.channels_last, non_blocking=True)
            with torch.autocast(target.type, torch.bfloat16, enabled=precision == "bf16"):
                batch_logits = classifier(pixels).logits
            logits[positions] = batch_logits.float().cpu()
            if progress is not None:
                progress(len(positions))
    _check_finite(logits, images)
    return logits


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Eval mode inside; outside, every submodule has the mode it had (a frozen part of a training network stays so).

    Example:
        >>> student = student.train()
        >>> with evaluating(student):
        ...     student.training
        False
        >>> student.training
        True
    """
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def device_of(module: nn.Module) -> torch.device:
    """Where a module's parameters are; the CPU for one without any."""
    parameter = next(module.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device


def check_pass(batch_size: int, precision: str) -> None:
    """Raises a UserError for a batch size or a precision that is not allowed."""
    if batch_size < 1:
        raise UserError(f"`batch_size` must be >= 1, got {batch_size}.")
    if precision not in get_args(Precision):
        raise unknown_name("precision", precision, get_args(Precision))


def _check_finite(logits: Tensor, images: "ImageSet") -> None:
    broken = ~logits.isfinite().all(1)
    if broken.any():
        first = images.ids[broken.nonzero()[0]].item()
        raise UserError(
            f"the classifier's logits are not finite for {int(broken.sum())} of {len(images)} images of "
            f"{images.name!r} (first: id {first}); look for NaN in its weights, or try precision 'fp32'."
        )
