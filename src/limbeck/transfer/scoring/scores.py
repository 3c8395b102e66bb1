"""Scores of images: functions from features `[B, D]` to one number per image, float64 `[B]`."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from limbeck.errors import UserError
from limbeck.randomness import derive_seed, words


class ScoreInputs(NamedTuple):
    """What a score may know about the images besides their features.

    Attributes:
        ids: int64 `[B]`.
        labels: int64 `[B]`, or None.
        seed: of random scores.
        head: weights `[K, D]` of the teacher's last layer, or None.
        stream: of random scores, see `Criterion.stream`.
        shape: (C, H, W) of the images, or None.
    """

    ids: Tensor
    labels: Tensor | None
    seed: int
    head: Tensor | None = None
    stream: str = "random"
    shape: tuple[int, int, int] | None = None


def entropy(features: Tensor, about: ScoreInputs | None = None, *, eps: float = 1e-7) -> Tensor:
    """Shannon entropy -sum_d p_d ln(p_d + eps) in nats: about 0 for a single level, up to ln D.

    The published code takes the same sum of numbers that are no distribution (average-adjusted histograms, codes), and
    so does this.

    Args:
        features: distributions `[B, D]`, >= 0, every row sums to 1.
        about: not used.
        eps: as published by default, which takes up to D x 1e-7 from the entropy; 0 for the entropy itself.

    Example:
        >>> entropy(torch.tensor([[0.5, 0.5, 0.0]]))
        tensor([0.6931], dtype=torch.float64)
    """
    # The logarithm takes most of the time, in float32 a third of that in float64. The sum in float64 is exact for all
    # but huge rows, so images with the same shares at other levels tie.
    terms = features * -(features + eps).log() if eps else torch.special.entr(features)
    return terms.sum(1, dtype=torch.float64)


def entropy_of_logits(features: Tensor, about: ScoreInputs | None = None, *, eps: float = 1e-7) -> Tensor:
    """`entropy` of the softmax, from logits `[B, K]`; finite for saturated ones."""
    logarithms = features.double().log_softmax(1)
    shares = logarithms.exp()
    return -(shares * ((shares + eps).log() if eps else logarithms)).sum(1)


def variance(features: Tensor, about: ScoreInputs | None = None) -> Tensor:
    """Population variance over the features `[B, D]` of each image; exact for integers."""
    if features.is_floating_point():
        return features.double().var(1, correction=0)
    count = features.shape[1]
    total, squares = features.sum(1), (features * features).sum(1)
    return (squares * count - total * total).double() / count**2


def patch_entropy_sum(features: Tensor, about: ScoreInputs | None = None) -> Tensor:
    """Sum of the entropies of an image's patches, which are `[B, patches]` in bits."""
    return features.double().sum(1)


def margin(features: Tensor, about: ScoreInputs | None = None) -> Tensor:
    """p_1 - p_2 of the softmax's two largest, from logits `[B, K]`; 0 where two classes are equally likely.

    Source: Scheffer et al., "Active hidden Markov models for information extraction", IDA 2001.
    """
    first, second = _two_largest(features.double().softmax(1)).values.unbind(1)
    return first - second


def least_confidence(features: Tensor, about: ScoreInputs | None = None) -> Tensor:
    """1 - p_1, from logits `[B, K]`. Source: Lewis and Gale, "A sequential algorithm for training text classifiers",
    SIGIR 1994."""
    return 1 - features.double().softmax(1).amax(1)


def confidence(features: Tensor, about: ScoreInputs | None = None, temperature: float = 1.0) -> Tensor:
    """p_1, the largest probability of softmax(z / T), from logits z `[B, K]`; in [1 / K, 1], highest where surest.

    It is exactly 1 for a logit about 37 T above the others, so images beyond that tie.

    Source: Hendrycks and Gimpel, "A baseline for detecting misclassified and out-of-distribution examples in neural
    networks", ICLR 2017, https://arxiv.org/abs/1610.02136 (maximum softmax probability).

    Example:
        >>> confidence(torch.tensor([[1e3, -1e3], [2.0, 2.0]]))
        tensor([1.0000, 0.5000], dtype=torch.float64)
    """
    return (features.double() / temperature).softmax(1).amax(1)


def energy(features: Tensor, about: ScoreInputs | None = None, temperature: float = 1.0) -> Tensor:
    """-T log sum_k exp(z_k / T), from logits z `[B, K]`; any real number, lowest where the teacher is surest.

    It lies in [-max z - T ln K, -max z]: unlike probabilities, it knows how large the logits are together.

    Source: Liu et al., "Energy-based out-of-distribution detection", NeurIPS 2020, https://arxiv.org/abs/2010.03759.

    Example:
        >>> energy(torch.tensor([[1e3, -1e3], [0.0, 0.0]])).tolist()
        [-1000.0, -0.6931471805599453]
    """
    return -temperature * (features.double() / temperature).logsumexp(1)


def el2n(features: Tensor, about: ScoreInputs) -> Tensor:
    """||softmax(z) - onehot(y)||_2, from logits `[B, K]` and labels.

    Source: Paul et al., "Deep learning on a data diet", NeurIPS 2021, https://arxiv.org/abs/2107.07075. There, z comes
    from networks early in training and the score is averaged over several; here, z is the teacher's.
    """
    assert about.labels is not None, "scores by label are refused for unlabelled images before"
    return (features.double().softmax(1) - F.one_hot(about.labels, features.shape[1])).norm(dim=1)


def minimal_margin(features: Tensor, about: ScoreInputs) -> Tensor:
    """(z_1 - z_2) / ||w_1 - w_2||_2: distance of the embedding from the boundary between its two likeliest classes.

    Source: Weinstein et al., "Selective sampling for accelerating training of deep neural networks", 2019,
    https://arxiv.org/abs/1911.06996 (minimal margin score).

    Args:
        features: logits z `[B, K]`.
        about: with the head's weights w `[K, D]`.
    """
    assert about.head is not None, "scores by head are refused without one before"
    largest = _two_largest(features.double())
    first, second = largest.values.unbind(1)
    head = about.head.double()
    distance = (head[largest.indices[:, 0]] - head[largest.indices[:, 1]]).norm(dim=1)
    # Classes that the head cannot tell apart have no boundary, and equal logits: 0.
    return (first - second) / distance.masked_fill(distance == 0, 1)


def random(features: Tensor, about: ScoreInputs) -> Tensor:
    """Uniform in [0, 1) with 53 bits, from seed, stream and id alone, so that the order of images does not matter.

    The n images with the highest scores are a sample without replacement; with 53 bits, ties, which go by id, are all
    but impossible (a hundred million images have one with probability one half).
    """
    return uniform53(about.ids, about.seed, about.stream)


def uniform53(ids: Tensor, seed: int, purpose: str) -> Tensor:
    """float64 `[B]` uniform in [0, 1), from ids int64 `[B]`, seed and purpose alone."""
    bits = words(derive_seed(seed, "select", purpose), 0, ids)
    return ((bits >> 11) & (2**53 - 1)).double() * 2.0**-53


def _two_largest(values: Tensor) -> torch.return_types.topk:
    if values.shape[1] < 2:
        raise UserError(f"a margin needs logits of at least 2 classes, got {values.shape[1]}.")
    return values.topk(2, dim=1)
