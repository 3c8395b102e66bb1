"""What a call makes."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Images, and all that was computed of them on the way; on the CPU.

    Attributes:
        images: uint8 [n, C, H, W].
        labels: int64 [n], that they were to have; those of the teacher where none were wanted.
        views: int64 [n], the draw of the view of each that the teacher saw, see `Augmentation.draw`.
        logits: of the teacher for that view of what is stored, float32 [n, K].
        embedding: of the teacher for it, float32 [n, D]; D is 0 where it has none.
        student_logits: of the student for it, float32 [n, K], or None where it was left out.
        image_losses: name -> float32 [n], unweighted; those of a batch are the same for all its images.
        losses: name -> mean of these.
        layers: batch-norm distance of each layer, float32 [L]; empty where it is not among the losses.
        passes: images that the teacher was run on.
    """

    images: Tensor
    labels: Tensor
    views: Tensor
    logits: Tensor
    embedding: Tensor
    student_logits: Tensor | None
    image_losses: Mapping[str, Tensor]
    losses: Mapping[str, float]
    layers: Tensor
    passes: int


def batch_of(parts: Mapping[str, Tensor], passes: int) -> Batch:
    """The batch of what was kept, name -> [n, ...]."""
    kept = {name: tensor.cpu() for name, tensor in parts.items() if not name.endswith("features")}
    losses = {name.removeprefix("losses."): loss for name, loss in kept.items() if name.startswith("losses.")}
    return Batch(
        images=kept["images"].contiguous(),
        labels=kept["labels"],
        views=kept["views"],
        logits=kept["logits"],
        embedding=kept["embedding"],
        student_logits=kept.get("student_logits"),
        image_losses=losses,
        losses={name: loss.mean().item() for name, loss in losses.items()},
        layers=kept["layers"].mean(dim=0) if "layers" in kept else torch.empty(0),
        passes=passes,
    )
