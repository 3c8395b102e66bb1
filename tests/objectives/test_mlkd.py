"""Multi-level distillation: the sum of its parts."""

import torch

from limbeck.objectives.functional import kd, mlkd


def parts(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> tuple[torch.Tensor, ...]:
    p, q = (student / temperature).softmax(1), (teacher / temperature).softmax(1)
    images = (p @ p.t() - q @ q.t()).square().sum() / len(p)
    classes = (p.t() @ p - q.t() @ q).square().sum() / p.shape[1]
    return kd(student, teacher, temperature=temperature), images, classes


def test_sum_over_temperatures() -> None:
    student, teacher = torch.randn(6, 5), torch.randn(6, 5)
    expected = sum(sum(parts(student, teacher, t)) for t in (4, 2, 3, 5, 6))
    torch.testing.assert_close(mlkd(student, teacher), expected)


def test_shares_in_place_of_masks() -> None:
    student, teacher = torch.randn(6, 5), torch.randn(6, 5)
    expected = torch.zeros(())
    for t in (2, 2, 3, 5, 6):
        single, images, classes = parts(student, teacher, t)
        expected = expected + 3 / 6 * (single + images) + 3 / 5 * classes
    torch.testing.assert_close(mlkd(student, teacher, temperature=2, confident=True), expected)
