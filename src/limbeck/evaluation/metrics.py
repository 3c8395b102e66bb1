"""How good a set of predictions is: pure functions of logits `[N, K]` and labels `[N]`.

Everything is computed in float64, so that saturated logits and a hundred thousand images cost no digits. Where two
classes tie, the one with the lower index wins.
"""

import torch
from torch import Tensor
from torch.nn import functional


def top_k_accuracy(logits: Tensor, labels: Tensor, k: int = 1) -> float:
    """Share of images whose label is among the `k` classes with the highest logits.

    Args:
        logits: `[N, K]`, N > 0, finite.
        labels: int64 `[N]` in 0..K-1.
        k: 1..K.

    Example:
        >>> top_k_accuracy(torch.tensor([[3.0, 1.0, 2.0]]), torch.tensor([2]), k=2)
        1.0
    """
    return among_top_k(logits, labels, k).double().mean().item()


def among_top_k(logits: Tensor, labels: Tensor, k: int = 1) -> Tensor:
    """Whether each image's label is among the `k` classes with the highest logits, bool `[N]`; see `top_k_accuracy`.

    Example:
        >>> among_top_k(torch.tensor([[3.0, 1.0, 2.0], [0.0, 0.0, 1.0]]), torch.tensor([2, 2]))
        tensor([False,  True])
    """
    assert 1 <= k <= logits.shape[1], f"k = {k} of {logits.shape[1]} classes"
    own = logits.gather(1, labels[:, None])
    lower_index = torch.arange(logits.shape[1], device=logits.device) < labels[:, None]
    rank = ((logits > own) | ((logits == own) & lower_index)).sum(1)
    return rank < k


def negative_log_likelihood(logits: Tensor, labels: Tensor) -> float:
    """Mean of -log p(label) in nats, at temperature 1; logits `[N, K]`, labels int64 `[N]`."""
    return functional.cross_entropy(logits.double(), labels).item()


def expected_calibration_error(logits: Tensor, labels: Tensor, bins: int = 15) -> float:
    """Gap between confidence and accuracy, averaged over `bins` equally wide bins of confidence, each weighted by its
    share of images: sum_b n_b / N |accuracy_b - confidence_b|.

    A confidence on the border of two bins belongs to the lower one. Source: Guo, Pleiss, Sun and Weinberger, "On
    calibration of modern neural networks", ICML 2017, with its 15 bins.

    Args:
        logits: `[N, K]`, N > 0, finite.
        labels: int64 `[N]` in 0..K-1.
        bins: number of bins that split the confidences (0, 1], at least 1.
    """
    confidence, predicted = logits.double().softmax(1).max(1)
    bin_of = (confidence * bins).ceil().long().clamp(1, bins) - 1
    gap = (predicted == labels).double() - confidence
    per_bin = torch.zeros(bins, dtype=torch.float64, device=logits.device).index_add_(0, bin_of, gap)
    return (per_bin.abs().sum() / len(labels)).item()


def confusion_matrix(logits: Tensor, labels: Tensor) -> Tensor:
    """int64 `[K, K]`: how many images of class (row) were taken for class (column)."""
    classes = logits.shape[1]
    pairs = labels * classes + logits.argmax(1)
    return torch.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def per_class_accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """float64 `[K]`: top-1 accuracy over the images of each class, NaN for a class without images."""
    confusion = confusion_matrix(logits, labels)
    return confusion.diagonal().double() / confusion.sum(1)
