import cmath
import math

import pytest
import torch
from torch import Tensor

from limbeck.transfer.condense.distances import characteristic_distance, mean_distance


def by_complex_numbers(real: Tensor, synthetic: Tensor, frequencies: Tensor, phase: float) -> float:
    def function(features: Tensor, at: Tensor) -> complex:
        return sum(cmath.exp(1j * float(at @ feature)) for feature in features) / len(features)

    total = 0.0
    for at in frequencies:
        a, b = function(real, at), function(synthetic, at)
        amplitude, angle = (abs(a) - abs(b)) ** 2, 2 * (abs(a) * abs(b) - (a * b.conjugate()).real)
        total += math.sqrt((1 - phase) * amplitude + phase * angle)
    return total / len(frequencies)


@pytest.mark.parametrize("phase", [0.0, 0.3, 0.5, 1.0])
def test_characteristic_distance_is_that_of_complex_numbers(phase: float) -> None:
    real, synthetic, frequencies = (torch.randn(n, 3, dtype=torch.float64) for n in (7, 2, 11))
    distance = float(characteristic_distance(real, synthetic, frequencies, phase=phase))
    assert distance == pytest.approx(by_complex_numbers(real, synthetic, frequencies, phase), abs=1e-9)


def test_with_equal_weights_it_is_the_distance_in_the_plane() -> None:
    """(|a| - |b|)^2 + 2 (|a||b| - Re a Re b - Im a Im b) = |a - b|^2, which weights of a half halve."""
    real, synthetic, frequencies = (torch.randn(n, 3, dtype=torch.float64) for n in (7, 2, 11))
    functions = [torch.exp(1j * (frequencies @ features.T)).mean(1) for features in (real, synthetic)]
    apart = (functions[0] - functions[1]).abs().mean() / math.sqrt(2)
    assert torch.allclose(characteristic_distance(real, synthetic, frequencies), apart, atol=1e-9)


@pytest.mark.parametrize("phase", [0.0, 0.5, 1.0])
def test_gradients_are_finite_also_where_features_are_equal(phase: float) -> None:
    features = torch.randn(4, 3)
    learned = features.clone().requires_grad_()
    characteristic_distance(features, learned, torch.randn(9, 3), phase=phase).backward()
    assert learned.grad is not None
    assert learned.grad.isfinite().all()
    assert learned.grad.norm() < 1


def test_mean_distance() -> None:
    real, synthetic = torch.randn(5, 3), torch.randn(2, 3)
    slow = sum((float(real[:, k].mean()) - float(synthetic[:, k].mean())) ** 2 for k in range(3))
    assert float(mean_distance(real, synthetic)) == pytest.approx(slow, rel=1e-5)
    wide = [features.double().requires_grad_() for features in (real, synthetic)]
    assert torch.autograd.gradcheck(mean_distance, wide)
    assert torch.autograd.gradcheck(lambda a, b: characteristic_distance(a, b, torch.ones(1, 3).double()), wide)
