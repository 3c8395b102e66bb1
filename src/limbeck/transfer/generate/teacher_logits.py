"""The teacher's logits of images as they are, as soft labels: inversion saw views of them."""

import time
from dataclasses import replace

import torch
from torch import Tensor

from limbeck.cost import Cost
from limbeck.data.image_set import ImageSet
from limbeck.data.known_logits import KnownLogits
from limbeck.data.transfer_set import TransferSet
from limbeck.models.classifier import Classifier
from limbeck.models.forward import whole_outputs

_LOOKED_AT = 32  # images


def with_teacher_logits(made: TransferSet, teacher: Classifier) -> tuple[TransferSet, Cost]:
    """The set with the teacher's logits as soft labels, and what that took.

    Where images were made without any views, their logits are known: the teacher is run on a few of them again, and if
    the results are the same to the bit, the known logits are used for all. It computes in float32 here, so that results
    differ where images were made in bfloat16.

    Example:
        >>> answered, cost = with_teacher_logits(lb.TransferSet(images), teacher)
        >>> answered.soft_label_kind, cost.teacher_passes
        ('logits', 200)
    """
    began = time.perf_counter()
    logits, looked_at = _known_logits(made.images, made.known_logits, teacher)
    needed = len(made) + (looked_at if logits is None else 0)
    saved = 0 if logits is None else len(made) - looked_at
    if logits is None:
        logits = whole_outputs(teacher, made.images).logits
    seconds = time.perf_counter() - began
    cost = Cost(images_read=len(made), teacher_passes=needed, passes_saved=saved, seconds=seconds)
    return replace(made, soft_labels=logits, soft_label_kind="logits"), cost


def _known_logits(images: ImageSet, known: KnownLogits | None, teacher: Classifier) -> tuple[Tensor | None, int]:
    """Known logits of the images as they are, float32 [N, K], or None where they have to be computed; and on how many
    images the teacher was run to find out."""
    if known is None or known.views.key != "none" or len(images) < 2 * _LOOKED_AT:
        return None, 0
    sample = torch.arange(_LOOKED_AT) * (len(images) // _LOOKED_AT)
    logits = whole_outputs(teacher, images.subset(images.ids[sample])).logits
    same = torch.equal(logits, known.read(sample))
    return (known.read(torch.arange(len(images))) if same else None), _LOOKED_AT
