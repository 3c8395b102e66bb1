"""The held-out score by which a state of a run is chosen: accuracy, or agreement with the teacher."""

import base64
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.data.image_set import ImageSet
from limbeck.evaluation.fidelity import divergence
from limbeck.evaluation.metrics import among_top_k, negative_log_likelihood
from limbeck.evaluation.prediction import predict
from limbeck.models.classifier import Classifier

Measure = Literal["top1", "agreement"]
MEASURES: dict[Measure, str] = {"top1": "accuracy", "agreement": "agreement with the teacher"}
"""Scores by which a state of a run is chosen, and their names."""


def measure_of(scores: Mapping[str, Any]) -> Measure:
    """The measure of a validation result, as from `validate` or a run's metrics."""
    return "top1" if "top1" in scores else "agreement"


def measure_on(images: ImageSet) -> Measure:
    """The measure for a student on these validation images."""
    return "agreement" if images.labels is None else "top1"


def validate(
    student: Classifier,
    images: ImageSet,
    dtype: torch.dtype,
    device: torch.device,
    teacher_logits: Tensor | None = None,
) -> dict[str, Any]:
    """Scores of a student on images, computed in `dtype`.

    Args:
        student: used in evaluation mode.
        images: with or without labels.
        dtype: float32 or bfloat16.
        device: where the student is.
        teacher_logits: the teacher's logits for images without labels, float32 [N, K].

    Returns:
        For labelled images `top1`: accuracy, a share; `nll`: negative log-likelihood, nats; `right`: which images are
        right. For others `agreement`: the share for which both networks predict the same class; `divergence`: the mean
        of KL(teacher || student), nats; `agrees`: for which images they agree. The last of each is `packed`.
    """
    logits = predict(student, images, precision="bf16" if dtype == torch.bfloat16 else "fp32", device=device)
    if images.labels is not None:
        right = among_top_k(logits, images.labels)
        return {
            "top1": right.double().mean().item(),
            "nll": negative_log_likelihood(logits, images.labels),
            "right": packed(right.numpy()),
        }
    assert teacher_logits is not None, "without labels there is a teacher, which is checked before"
    agrees = logits.argmax(1) == teacher_logits.argmax(1)
    return {
        "agreement": agrees.double().mean().item(),
        "divergence": divergence(logits, teacher_logits),
        "agrees": packed(agrees.numpy()),
    }


def validation_logits(images: ImageSet | None, teacher: Classifier | None) -> Tensor | None:
    """The teacher's logits for validation images, float32 [N, K]; None with labels or without a teacher or images."""
    if images is None or images.labels is not None or teacher is None:
        return None
    return predict(teacher, images)


class Validator:
    """Scores a student on validation images; for images without labels the teacher's logits are computed once.

    Args:
        student: scored as it is at each call.
        images: N images.
        teacher: None where they have labels.
        dtype, device: see `validate`.
        known: the teacher's logits, if they are known already; see `validation_logits`.
    """

    def __init__(
        self,
        student: Classifier,
        images: ImageSet,
        teacher: Classifier | None,
        dtype: torch.dtype,
        device: torch.device,
        known: Tensor | None = None,
    ) -> None:
        self.student = student
        self.images = images
        self.teacher = teacher
        self.dtype = dtype
        self.device = device
        self.known = known

    @cached_property
    def teacher_logits(self) -> Tensor | None:
        return self.known if self.known is not None else validation_logits(self.images, self.teacher)

    def __call__(self) -> dict[str, Any]:
        return validate(self.student, self.images, self.dtype, self.device, self.teacher_logits)


def packed(right: NDArray[np.bool_]) -> str:
    """One bit for each image, the first one highest in the first byte, as base64.

    Example:
        >>> packed(np.array([True, False, True]))
        'oA=='
    """
    return base64.b64encode(np.packbits(right).tobytes()).decode()


def unpacked(bits: str, count: int) -> NDArray[np.bool_]:
    """The input of `packed`, for `count` images.

    Example:
        >>> unpacked("oA==", 3)
        array([ True, False,  True])
    """
    return np.unpackbits(np.frombuffer(base64.b64decode(bits), np.uint8), count=count).astype(bool)
