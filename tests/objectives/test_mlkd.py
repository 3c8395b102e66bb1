"""Multi-level distillation: the sum of its parts, computed number by number."""

import math

import pytest
import torch

from limbeck.objectives.functional import mlkd

Rows = list[list[float]]


def softmax(rows: Rows, temperature: float) -> Rows:
    weights = []
    for row in rows:
        powers = [math.exp(z / temperature) for z in row]
        weights.append([power / sum(powers) for power in powers])
    return weights


def gram(rows: Rows) -> Rows:
    """Inner products of all pairs of rows."""
    return [[sum(a * b for a, b in zip(row, other, strict=True)) for other in rows] for row in rows]


def columns(rows: Rows) -> Rows:
    return [list(column) for column in zip(*rows, strict=True)]


def distance(a: Rows, b: Rows) -> float:
    return sum((x - y) ** 2 for row, other in zip(a, b, strict=True) for x, y in zip(row, other, strict=True))


def slow(student: Rows, teacher: Rows, temperatures: tuple[float, ...], images: float = 1, classes: float = 1) -> float:
    """Per image: the divergence; per pair of images and per pair of classes: how differently they are related."""
    total = 0.0
    for t in temperatures:
        q, p = softmax(student, t), softmax(teacher, t)
        single = sum(
            x * math.log(x / y) for row, other in zip(p, q, strict=True) for x, y in zip(row, other, strict=True)
        )
        of_images = distance(gram(p), gram(q)) / len(p)
        of_classes = distance(gram(columns(p)), gram(columns(q))) / len(p[0])
        total += images * (single / len(p) * t**2 + of_images) + classes * of_classes
    return total


def both() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(6, 5, dtype=torch.float64), 3 * torch.randn(6, 5, dtype=torch.float64)


def test_sum_over_temperatures() -> None:
    student, teacher = both()
    expected = slow(student.tolist(), teacher.tolist(), (4, 2, 3, 5, 6))
    assert mlkd(student, teacher).item() == pytest.approx(expected, rel=1e-9)


def test_shares_in_place_of_masks() -> None:
    """Of six images and of five classes three are at or below the median."""
    student, teacher = both()
    expected = slow(student.tolist(), teacher.tolist(), (2, 2, 3, 5, 6), 3 / 6, 3 / 5)
    # The shares are float32.
    assert mlkd(student, teacher, temperature=2, confident=True).item() == pytest.approx(expected, rel=1e-6)


def test_the_gradient_is_the_slow_forms() -> None:
    student, teacher = both()
    mlkd(student.requires_grad_(), teacher).backward()
    assert student.grad is not None
    step = 1e-5
    for place in ((0, 0), (2, 3), (5, 4)):
        ends = []
        for sign in (1, -1):
            moved = student.detach().clone()
            moved[place] += sign * step
            ends.append(slow(moved.tolist(), teacher.tolist(), (4, 2, 3, 5, 6)))
        assert student.grad[place].item() == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5, abs=1e-8)
