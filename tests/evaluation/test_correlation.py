import numpy as np
import pytest
import torch
from torch import Tensor

from limbeck.evaluation.correlation import (
    class_correlation,
    logit_correlation,
    mean_absolute_difference,
    similar_order,
)


@pytest.fixture
def logits() -> Tensor:
    return torch.randn(50, 6, generator=torch.Generator().manual_seed(0)) @ torch.randn(
        6, 6, generator=torch.Generator().manual_seed(1)
    )


def test_correlation_is_numpys_of_centred_logits(logits: Tensor) -> None:
    centred = (logits - logits.mean(1, keepdim=True)).double().numpy()
    assert np.allclose(logit_correlation(logits), np.corrcoef(centred.T))


def test_what_softmax_does_not_see_changes_nothing(logits: Tensor) -> None:
    shifted = 3 * logits + torch.randn(50, 1, generator=torch.Generator().manual_seed(2)) * 100
    assert torch.allclose(logit_correlation(shifted), logit_correlation(logits), atol=1e-5)
    assert torch.allclose(class_correlation(shifted, logits), torch.ones(6, dtype=torch.float64), atol=1e-5)
    assert torch.allclose(class_correlation(-logits, logits), -torch.ones(6, dtype=torch.float64), atol=1e-5)


def test_logits_that_never_change_or_are_huge(logits: Tensor) -> None:
    same = torch.tensor([[1.0, 2.0, 4.0]]).expand(9, 3)
    assert torch.equal(logit_correlation(same), torch.eye(3, dtype=torch.float64))
    assert torch.equal(class_correlation(same, same), torch.zeros(3, dtype=torch.float64))
    assert torch.equal(logit_correlation(torch.zeros(4, 3)), torch.eye(3, dtype=torch.float64))
    assert torch.allclose(logit_correlation(logits.double() * 1e200), logit_correlation(logits))


def test_mean_difference_leaves_the_diagonal_out() -> None:
    first, other = torch.eye(3), torch.eye(3)
    other[0, 1] = other[1, 0] = 0.6
    assert mean_absolute_difference(first, other) == pytest.approx(0.2)


def test_order_puts_related_classes_side_by_side() -> None:
    blocks = torch.tensor([0, 1, 2] * 4)
    correlation = torch.where(blocks[:, None] == blocks, 0.9, -0.3).fill_diagonal_(1)
    order = similar_order(correlation)
    assert sorted(order) == list(range(12))
    assert (blocks[order].diff() != 0).sum() == 2
    assert similar_order(correlation) == order
    assert similar_order(torch.eye(2)) == [0, 1]
    assert sorted(similar_order(torch.eye(300))) == list(range(300))
