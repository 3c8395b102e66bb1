"""The held-out score that may choose among the states of a run."""

import base64
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.data.image_set import ImageSet
from limbeck.evaluation.metrics import among_top_k, negative_log_likelihood
from limbeck.evaluation.prediction import predict
from limbeck.models.classifier import Classifier


def validate(student: Classifier, images: ImageSet, dtype: torch.dtype, device: torch.device) -> dict[str, Any]:
    """How a student does on labelled images, computed in `dtype`.

    Returns:
        `top1`: accuracy, a share; `nll`: negative log-likelihood, nats; `right`: which images, see `packed`.
    """
    assert images.labels is not None
    logits = predict(student, images, precision="bf16" if dtype == torch.bfloat16 else "fp32", device=device)
    right = among_top_k(logits, images.labels)
    return {
        "top1": right.double().mean().item(),
        "nll": negative_log_likelihood(logits, images.labels),
        "right": packed(right.numpy()),
    }


def packed(right: NDArray[np.bool_]) -> str:
    """One bit for each image, the first one highest in the first byte, as base64.

    Example:
        >>> packed(np.array([True, False, True]))
        'oA=='
    """
    return base64.b64encode(np.packbits(right).tobytes()).decode()


def unpacked(bits: str, count: int) -> NDArray[np.bool_]:
    """What `packed` was given, of `count` images.

    Example:
        >>> unpacked("oA==", 3)
        array([ True, False,  True])
    """
    return np.unpackbits(np.frombuffer(base64.b64decode(bits), np.uint8), count=count).astype(bool)
