"""The held-out score that may choose among the states of a run."""

import torch

from limbeck.data.image_set import ImageSet
from limbeck.evaluation.metrics import negative_log_likelihood, top_k_accuracy
from limbeck.evaluation.prediction import predict
from limbeck.models.classifier import Classifier


def validate(student: Classifier, images: ImageSet, dtype: torch.dtype, device: torch.device) -> dict[str, float]:
    """Top-1 accuracy (a share) and negative log-likelihood (nats) on labelled images, computed in `dtype`."""
    assert images.labels is not None
    logits = predict(student, images, precision="bf16" if dtype == torch.bfloat16 else "fp32", device=device)
    return {
        "top1": top_k_accuracy(logits, images.labels, 1),
        "nll": negative_log_likelihood(logits, images.labels),
    }
