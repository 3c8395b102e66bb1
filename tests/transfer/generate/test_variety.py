import pytest
import torch

from limbeck.errors import UserError
from limbeck.transfer.generate.variety import class_balance, distinct_pictures, near_duplicates


def images(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(1, 255, (count, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_balance() -> None:
    assert class_balance(torch.tensor([4, 4])) == 1
    assert class_balance(torch.tensor([9, 0, 3])) == float("inf")
    assert class_balance(torch.tensor([5])) == 1


def test_distinct_pictures() -> None:
    made = images(6)
    made[4] = made[1]
    assert distinct_pictures(made) == 5
    assert distinct_pictures(made[:0]) == 0


def test_near_duplicates_of_pixels() -> None:
    made = images(2000)
    assert near_duplicates(made) == 0
    made[1500] = made[3] + 1  # as good as equal, though not equal
    assert near_duplicates(made) == 2 / 2000
    collapsed = made[:1] + torch.randint(0, 2, (50, 3, 8, 8), dtype=torch.uint8)
    assert near_duplicates(collapsed) == 1
    assert near_duplicates(torch.zeros(5, 1, 4, 4, dtype=torch.uint8)) == 1


def test_near_duplicates_of_embeddings() -> None:
    embeddings = torch.randn(300, 64, generator=torch.Generator().manual_seed(0))
    assert near_duplicates(embeddings) == 0
    assert near_duplicates(torch.cat([embeddings, embeddings[:30] * 1.001])) == pytest.approx(60 / 330)
    assert near_duplicates(embeddings + 1e6) == 1
    assert near_duplicates(torch.zeros(5, 4)) == 1
    assert near_duplicates(embeddings[:1]) == near_duplicates(embeddings[:0]) == 0


def test_message() -> None:
    with pytest.raises(UserError, match="`within` must be > 0, got 0"):
        near_duplicates(torch.rand(3, 3), within=0)
