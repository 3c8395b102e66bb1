"""Runs one image through teacher and student before training, so that objectives can be built for their outputs."""

from collections.abc import Collection

import torch
from torch import Tensor, nn

from limbeck.data.image_set import ImageSet
from limbeck.models.classifier import Classifier, Outputs
from limbeck.models.shared_memory import private_copy
from limbeck.objectives.setup import Setup
from limbeck.objectives.sums import WeightedSum


def setup_for(
    student: Classifier, teacher: Classifier | None, objective: WeightedSum, images: ImageSet, batch_size: int
) -> Setup:
    """What `objective` is built from; student and teacher are not changed.

    Args:
        batch_size: images per step over all processes.

    Raises:
        UserError: a needed part of the outputs cannot be read.
    """
    image = images.gather(torch.zeros(1, dtype=torch.int64))  # [1, C, H, W] uint8; only shapes count
    outputs = _outputs(student, image, objective.outputs_needed("student"))
    reads_head = any(term.reads_teacher_head for term in objective.objectives().values())
    return Setup(
        student=outputs,
        teacher=outputs if teacher is None else _outputs(teacher, image, objective.outputs_needed("teacher")),
        ids=images.ids,
        labels=images.labels,
        batch_size=batch_size,
        teacher_head=_head(teacher) if reads_head else None,
    )


@torch.no_grad()
def _outputs(classifier: Classifier, image: Tensor, want: Collection[str]) -> Outputs:
    if not set(want) - {"logits"}:
        return Outputs(torch.zeros(1, classifier.num_classes))
    return private_copy(classifier, classifier.name).cpu().eval()(image, want={*want, "logits"})


def _head(teacher: Classifier | None) -> nn.Module | None:
    if teacher is None or teacher.taps.embedding is None:
        return None
    return teacher.network.get_submodule(teacher.taps.embedding)
