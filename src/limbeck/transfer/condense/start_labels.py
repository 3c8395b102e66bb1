"""The soft labels that learning begins with."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from limbeck.cost import Cost
from limbeck.data.image_set import ImageSet
from limbeck.errors import UserError
from limbeck.models.classifier import Classifier
from limbeck.models.forward import device_of, evaluating, whole_outputs

_BATCH = 256  # floating images that a judge sees at a time


@dataclass(frozen=True)
class Labels:
    """Labels of N images.

    Attributes:
        values: logits float32 `[N, K]`, or class numbers int64 `[N]`.
        right: how many judges are right about each image, int64 `[N]`; None where none judged.
        remarks: texts of warnings.
        cost: of the judges' answers.
    """

    values: Tensor
    right: Tensor | None
    remarks: tuple[str, ...]
    cost: Cost


def soft_labels(judges: Sequence[Classifier], images: ImageSet, argument: str = "judges") -> Labels:
    """For each image the mean logits of the judges that are right about it, or of all where none is.

    Args:
        judges: at least one; their classes are those of the images.
        images: with labels.
        argument: what messages call the judges.

    Raises:
        UserError: logits that are not finite.

    Example:
        >>> labels = soft_labels([student, teacher], test)
        >>> labels.values.shape, bool(torch.isfinite(labels.values).all()), labels.right.max() <= 2
        (torch.Size([100, 10]), True, tensor(True))
    """
    assert images.labels is not None, "images have labels"
    sums = of_right = torch.zeros(len(images), images.num_classes, dtype=torch.float64)
    right = torch.zeros(len(images), dtype=torch.int64)
    for number, judge in enumerate(judges):
        logits = _logits(judge, images).double()
        if not torch.isfinite(logits).all():
            raise UserError(f"logits of `{argument}` must be finite, got some of number {number} that are not.")
        hits = logits.argmax(1) == images.labels
        sums, of_right, right = sums + logits, of_right + logits * hits[:, None], right + hits
    # Where no judge is right the published code divides 0 by 0.
    values = torch.where(right[:, None] > 0, of_right / right[:, None].clamp(min=1), sums / len(judges))
    passes = len(judges) * len(images)
    return Labels(values.float(), right, _none_right(right), Cost(teacher_passes=passes))


def _logits(judge: Classifier, images: ImageSet) -> Tensor:
    """Logits float32 `[N, K]`, of floating images if the set has them: 8 bits would clip whitened ones to [0, 1]."""
    if not images.has_floats:
        return whole_outputs(judge, images).logits
    device = device_of(judge)
    with evaluating(judge), torch.no_grad():
        batches = torch.arange(len(images)).split(_BATCH)
        return torch.cat([judge(images.floats(rows).float().to(device)).logits.float().cpu() for rows in batches])


def _none_right(right: Tensor) -> tuple[str, ...]:
    wrong = int((right == 0).sum())
    if not wrong:
        return ()
    return (
        f"no judge is right about {wrong} of the {len(right)} images that others begin as, whose soft labels are the "
        "mean of all judges. Teach the experts longer.",
    )
