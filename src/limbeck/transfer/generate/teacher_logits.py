"""The teacher's answers to images as they are, as soft labels: inversion saw views of them."""

import time
from dataclasses import replace

from limbeck.cost import Cost
from limbeck.data.transfer_set import TransferSet
from limbeck.models.classifier import Classifier
from limbeck.models.forward import whole_outputs


def with_teacher_logits(made: TransferSet, teacher: Classifier) -> tuple[TransferSet, Cost]:
    """The set with the teacher's logits as soft labels, and what that took.

    Example:
        >>> answered, cost = with_teacher_logits(lb.TransferSet(images), teacher)
        >>> answered.soft_label_kind, cost.teacher_passes
        ('logits', 200)
    """
    began = time.perf_counter()
    logits = whole_outputs(teacher, made.images).logits
    cost = Cost(images_read=len(made), teacher_passes=len(made), seconds=time.perf_counter() - began)
    return replace(made, soft_labels=logits, soft_label_kind="logits"), cost
