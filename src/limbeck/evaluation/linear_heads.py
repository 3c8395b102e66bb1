"""Linear heads on fixed features: the L2-regularised fit, and stochastic gradient descent on the published schedule."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn import functional

from limbeck.evaluation.metrics import negative_log_likelihood, top_k_accuracy
from limbeck.randomness import generator

STRENGTHS = tuple(10.0 ** (-exponent / 2) for exponent in range(13))
"""Strengths of regularisation to choose from: 1 to 1e-6 in half decades, strongest first."""
_TOLERANCE = 1e-3
"""Largest entry of the gradient at the end as a share of the strength, which bounds how far the weights are from their
best. With scikit-learn's default, 1e-4 whatever the strength, and in float32, log-probabilities at weak strengths are
off by more than 1, and accuracies then depend on the processor's rounding."""
_ITERATIONS = 20_000
_PATIENCE = 2


@dataclass(frozen=True)
class LinearHead:
    """Logits `(x - mean) / scale @ weight.T + bias` for features x `[N, D]`.

    Attributes:
        weight: `[K, D]`; a class that had no image to learn from has the bias -inf.
        bias: `[K]`.
        mean, scale: `[D]`.
        converged: whether the fit reached its tolerance.
    """

    weight: Tensor
    bias: Tensor
    mean: Tensor
    scale: Tensor
    converged: bool = True

    def __call__(self, features: Tensor) -> Tensor:
        return functional.linear((features - self.mean) / self.scale, self.weight, self.bias)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Stochastic gradient descent on the head alone, as published for transfer between data sets.

    120 epochs of batches of 64, rate 0.05 (0.01 for MobileNetV2 and ShuffleNets) times 0.1 after epochs 30, 60 and 90,
    momentum 0.9, weight decay 5e-4, the last epoch counts. Source: github.com/giakoumoglou/distillers,
    cifar/transfer_student.py.
    """

    epochs: int = 120
    batch_size: int = 64
    learning_rate: float = 0.05
    milestones: tuple[int, ...] = (30, 60, 90)
    decay: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4


def published_schedule(model: str) -> Schedule:
    """The schedule for a network by its name in the catalogue."""
    light = model.casefold() in ("mobilenetv2", "shufflev1", "shufflev2")
    return Schedule(learning_rate=0.01 if light else 0.05)


def fit_l2(features: Tensor, labels: Tensor, classes: int, strength: float) -> LinearHead:
    """Multinomial logistic regression on standardised features, by L-BFGS (scikit-learn); no randomness in it.

    Minimises the mean of -log p(label) plus strength / 2 |W|^2 (of two classes, W is the difference of their rows); the
    bias is free. It goes on in float64 until the minimum is reached, so that every processor finds the same. Features
    are standardised by mean and standard deviation of these very images.

    Args:
        features: float32 `[N, D]`, finite.
        labels: int64 `[N]` in 0..K-1, at least two of them different.
        classes: K.
        strength: > 0.
    """
    return next(fit_l2_path(features, labels, classes, [strength]))


def fit_l2_path(features: Tensor, labels: Tensor, classes: int, strengths: Sequence[float]) -> Iterator[LinearHead]:
    """`fit_l2` for one strength after another, each starting where the one before ended, which saves iterations."""
    mean, scale = features.mean(0), features.std(0, correction=0)
    # A constant feature says nothing; divided by a deviation that is all rounding error, it would become noise.
    scale = torch.where(scale > 1e-6 * features.abs().amax(0), scale, 1.0)
    rows, present = ((features.double() - mean) / scale).numpy(), labels.unique()
    model = LogisticRegression(max_iter=_ITERATIONS, warm_start=True)
    for strength in strengths:
        model.C, model.tol = 1 / (strength * len(features)), min(1e-6, _TOLERANCE * strength)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            model.fit(rows, labels.numpy())
        coefficients, intercepts = torch.tensor(model.coef_), torch.tensor(model.intercept_)
        if len(present) == 2:
            coefficients, intercepts = (torch.cat([-tensor / 2, tensor / 2]) for tensor in (coefficients, intercepts))
        weight = torch.zeros(classes, features.shape[1]).index_copy_(0, present, coefficients.float())
        bias = torch.full((classes,), -torch.inf).index_copy_(0, present, intercepts.float())
        yield LinearHead(weight, bias, mean, scale, not any(_unconverged(warning) for warning in caught))


def choose_strength(
    features: Tensor, labels: Tensor, classes: int, held_out: Tensor, strengths: Sequence[float] = STRENGTHS
) -> tuple[float, list[dict[str, float]]]:
    """The strength of least negative log-likelihood on held-out images, of equal ones the strongest.

    Likelihood rather than accuracy, because a few hundred images are enough to tell neighbouring strengths apart by it.
    Goes from the strongest to the weakest and stops after `_PATIENCE` in a row that are worse than the best.

    Args:
        features: float32 `[N, D]` of the training images.
        labels: int64 `[N]`.
        classes: K.
        held_out: bool `[N]`, the images to judge on; the others are fitted. Classes of which nothing is left to fit
            are not judged; where none is, the strongest is taken and nothing tried.
        strengths: > 0, falling.

    Returns:
        the strength, and {"strength", "nll" in nats, "top1"} of every one that was tried.
    """
    evaluated = held_out & torch.isin(labels, labels[~held_out])
    if not evaluated.any():
        return strengths[0], []
    tried: list[dict[str, float]] = []
    best = 0
    heads = fit_l2_path(features[~held_out], labels[~held_out], classes, strengths)
    for strength, head in zip(strengths, heads, strict=True):
        logits = head(features[evaluated])
        nll, top1 = negative_log_likelihood(logits, labels[evaluated]), top_k_accuracy(logits, labels[evaluated])
        tried.append({"strength": strength, "nll": nll, "top1": top1})
        if nll < tried[best]["nll"]:
            best = len(tried) - 1
        if len(tried) - 1 - best == _PATIENCE:
            break
    return tried[best]["strength"], tried


def fit_schedule(features: Tensor, labels: Tensor, classes: int, schedule: Schedule, *, seed: int) -> LinearHead:
    """A head trained by stochastic gradient descent on the features as they are, from weights N(0, 0.01^2) and bias 0.

    Args:
        features: float32 `[N, D]`.
        labels: int64 `[N]` in 0..K-1.
        classes: K.
        schedule: of the training.
        seed: of the first weights and of the order of images.
    """
    randomness = generator(seed, "linear head")
    weight = torch.normal(0.0, 0.01, (classes, features.shape[1]), generator=randomness).requires_grad_()
    bias = torch.zeros(classes, requires_grad=True)
    optimizer = torch.optim.SGD(
        [weight, bias], schedule.learning_rate, momentum=schedule.momentum, weight_decay=schedule.weight_decay
    )
    rates = torch.optim.lr_scheduler.MultiStepLR(optimizer, list(schedule.milestones), schedule.decay)
    for _ in range(schedule.epochs):
        for batch in torch.randperm(len(features), generator=randomness).split(schedule.batch_size):
            optimizer.zero_grad(set_to_none=True)
            functional.cross_entropy(functional.linear(features[batch], weight, bias), labels[batch]).backward()
            optimizer.step()
        rates.step()
    dimensions = features.shape[1]
    return LinearHead(weight.detach(), bias.detach(), torch.zeros(dimensions), torch.ones(dimensions))


def _unconverged(warning: warnings.WarningMessage) -> bool:
    return issubclass(warning.category, ConvergenceWarning)
