"""How far the features of synthetic images are from being distributed as those of real ones."""

import torch
from torch import Tensor


def mean_distance(real: Tensor, synthetic: Tensor) -> Tensor:
    """Squared distance of the mean features, |mean(real) - mean(synthetic)|^2.

    Args:
        real: features `[R, D]`.
        synthetic: features `[S, D]`.

    Returns:
        A scalar, with the gradient of both.

    Source: Zhao and Bilen, "Dataset condensation with distribution matching", WACV 2023.

    Example:
        >>> mean_distance(torch.tensor([[1.0], [3.0]]), torch.tensor([[5.0]]))
        tensor(9.)
    """
    return (real.mean(0) - synthetic.mean(0)).square().sum()


def characteristic_distance(real: Tensor, synthetic: Tensor, frequencies: Tensor, *, phase: float = 0.5) -> Tensor:
    """Mean distance of the characteristic functions of features at some frequencies.

    The characteristic function of features f at frequency t is c(t) = mean(exp(i t.f)). With a and b those of real and
    synthetic features, the distance at t is the square root of
    (1 - phase) (|a| - |b|)^2 + phase 2 (|a||b| - Re a Re b - Im a Im b); the first term compares how spread features
    are, the second where they lie.

    Args:
        real: features `[R, D]`.
        synthetic: features `[S, D]`.
        frequencies: `[F, D]`, usually Gaussian.
        phase: weight of the second term, 0 to 1.

    Returns:
        A scalar, with the gradient of both; the gradient is finite also where they are equal.

    Source: Wang, Yang, Liu, Sun, Hu, He and Zhang, "Dataset distillation with neural characteristic function: a minmax
    perspective", CVPR 2025.

    Example:
        >>> features, frequencies = torch.randn(8, 3), torch.randn(16, 3)
        >>> round(float(characteristic_distance(features, features, frequencies)), 5)
        0.0
    """
    of_real, of_synthetic = _characteristic(real, frequencies), _characteristic(synthetic, frequencies)
    sizes = [torch.linalg.vector_norm(function, dim=1) for function in (of_real, of_synthetic)]  # [F] each
    amplitude = (sizes[0] - sizes[1]).square()
    # |a - b|^2 - (|a| - |b|)^2 equals the products, and is a thousand times as precise near zero.
    angle = (of_real - of_synthetic).square().sum(1) - amplitude
    # Rounding may leave it below zero, and the square root has no finite gradient at zero.
    squares = (1 - phase) * amplitude + phase * angle.clamp(min=1e-12)
    return squares.clamp(min=1e-20).sqrt().mean()


def _characteristic(features: Tensor, frequencies: Tensor) -> Tensor:
    """Real and imaginary part of mean(exp(i t.f)) [F, 2]."""
    angles = frequencies @ features.T  # [F, N]
    return torch.stack([angles.cos().mean(1), angles.sin().mean(1)], 1)
